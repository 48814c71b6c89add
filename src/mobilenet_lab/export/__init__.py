"""Trained networks in formats of other runtimes."""
