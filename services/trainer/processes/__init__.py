"""The processes that learn and that judge: how they are started, and what passes between them and the service."""
