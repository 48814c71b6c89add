"""LightningModules and their metrics."""
