"""Pictures of histories, drawn on the server without a plotting library: one drawing, two writers."""
