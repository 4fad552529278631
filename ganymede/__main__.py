"""Lets `python -m ganymede` do what the console script does."""

from ganymede.cli import main

main()
