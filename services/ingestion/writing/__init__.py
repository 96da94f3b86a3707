"""Into the log: each event once, items and users in versions."""
