"""What is kept in NATS, how it is read, and how it is written."""
