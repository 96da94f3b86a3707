"""Training runs: one at a time, when they are due, from the log to a published model."""
