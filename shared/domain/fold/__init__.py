"""The fold of the log as a whole: users, items, digests, and the features that are read from it."""
