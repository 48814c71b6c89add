"""Checkpoints: their contents, writing them atomically and reading untrusted ones."""
