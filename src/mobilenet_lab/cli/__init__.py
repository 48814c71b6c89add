"""What the scripts share: from command-line arguments to one call, errors as one line."""
