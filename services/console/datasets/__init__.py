"""Data sets in files: read, made up, and sent as events."""
