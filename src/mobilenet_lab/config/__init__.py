"""Checks of the configuration, before anything heavy is imported."""
