"""Measured pages of docs/: what they say is run again by one make target. Nothing here is installed."""
