"""The archive in PostgreSQL: kept up with the log, and asked."""
