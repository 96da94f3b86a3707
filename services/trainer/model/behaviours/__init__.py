"""Probabilities of behaviours: examples from the log, a head on frozen vectors, its calibration and its proof."""
