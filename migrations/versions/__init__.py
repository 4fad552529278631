"""One module per revision; each works with the code before it."""
