"""Erasing users, and looking whether anything is left."""
