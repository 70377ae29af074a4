"""What happened to accounts and sessions, for the security review: a table and a log line per event."""
