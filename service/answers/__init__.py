"""The JSON that the service answers with: one model per thing, the same for the bytes and for the OpenAPI document."""
