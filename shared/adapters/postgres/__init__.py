"""What is kept in PostgreSQL: projections of the log, the registry, and who leads."""
