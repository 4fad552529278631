"""The two networks of each architecture."""
