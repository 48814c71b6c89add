"""Sweeps: jobs as processes and a table of their results."""
