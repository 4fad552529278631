"""Measures of quality: what a generator makes against rows of the data that nothing has learnt from."""
