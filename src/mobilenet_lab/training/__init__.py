"""A training run, from a checked configuration to its results."""
