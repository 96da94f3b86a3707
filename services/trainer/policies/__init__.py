"""Decisions as pure functions: what is promoted and rolled back, when a run is due, and which begins anew."""
