"""What the NATS door refused, and sending it again."""
