"""The one-machine launcher: a real NATS server, a real PostgreSQL and the services as child processes."""
