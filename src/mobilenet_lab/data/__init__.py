"""From files to batches that a network sees."""
