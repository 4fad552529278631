"""What a user imports and types: the HTTP client, the command line, the all-in-one service."""
