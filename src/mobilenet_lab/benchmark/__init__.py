"""Benchmarks of training, data reading, inference and startup on this machine (`make bench`)."""
