"""What a run writes: its folder, logs and plots."""
