"""The embedded mode: a broker, a directory, SQLite and one process a role on this machine."""
