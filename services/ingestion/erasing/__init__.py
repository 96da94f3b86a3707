"""Erasures: asked for in the log, and carried out."""
