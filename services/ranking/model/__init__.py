"""The model in service: watched for, loaded beside calls, swapped, and kept up by deltas."""
