"""Data sets by file format, and their download."""
