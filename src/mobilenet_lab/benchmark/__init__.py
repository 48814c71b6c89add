"""How fast this machine trains, reads, evaluates and predicts: make bench."""
