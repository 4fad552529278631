"""Breaks a running service on purpose and checks that nothing is lost."""
