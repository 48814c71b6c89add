"""Prediction and evaluation from a checkpoint; imports neither Lightning nor training code."""
