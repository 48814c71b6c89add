"""Entry point of the scripts, and errors as one line."""
