"""Data sets: from files on disk to batches of prepared tensors."""
