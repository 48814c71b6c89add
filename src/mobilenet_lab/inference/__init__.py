"""Prediction and evaluation with a trained network, without Lightning."""
