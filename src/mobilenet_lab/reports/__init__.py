"""Web pages about runs and sweeps."""
