"""Calls to ranking."""
