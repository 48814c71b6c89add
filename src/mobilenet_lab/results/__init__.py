"""The table of results: run the recipes over seeds, and write docs/results.md with its plot.

A run that is finished is not repeated, and one that was interrupted goes on. What was measured is kept in
docs/results.json, so that a table may grow on several machines.
"""
