"""Fuzzing of both doors of the ingestion service: `make fuzz`."""
