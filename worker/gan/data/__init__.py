"""Data sets opened for training."""
