"""Cleaning at ingestion: one file per step, put together in `cleaner`."""
