"""Accuracies of the recipes over several seeds (`make results`).

Runs the recipes that have no finished run, resumes interrupted runs, records the results in docs/results.json
and renders docs/results.md and its plot from it. Finished runs are not repeated, and runs of several machines
can share one record.
"""
