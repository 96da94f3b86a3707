"""Rules, EASE and other counts of the log: alone, and mixed with a model."""
