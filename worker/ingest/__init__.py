"""Uploads made ready for training: every format parsed in a process that is thrown away."""
