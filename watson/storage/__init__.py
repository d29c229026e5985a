"""Stores: objects (S3, a directory) and the catalogue (Cassandra, SQLite). Bytes and rows, never the events' flow."""
