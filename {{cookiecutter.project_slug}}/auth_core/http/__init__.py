"""The HTTP layer: errors, request ids, transport, health, API documents."""
