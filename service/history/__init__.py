"""The losses of every step: how they are packed into segments, read back, thinned and written out."""
