"""The HTTP interface, one module per noun."""
