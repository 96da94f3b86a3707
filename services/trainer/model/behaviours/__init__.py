"""Probabilities of behaviours: examples from the log, a head on top of frozen vectors, its calibration and its proof."""
