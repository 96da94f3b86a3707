"""Encoders: each turns a history into a user vector, in its own file, behind one signature."""
