"""What each player minimises: one module per family of objectives, and the registry of their names."""
