"""How large the networks of each architecture are, counted without torch."""
