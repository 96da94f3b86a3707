"""Registered models: judged on demand, promoted, rolled back, marked and deleted."""
