"""Django's PostgreSQL backend, which looks at a connection in use without a query."""
