"""Names that settings and calls choose by, apart from what they name, so that reading them takes no torch."""

from __future__ import annotations

KINDS = ("transformer", "hstu", "gru", "lstm", "cnn", "mf")
PRESET_NAMES = ("small", "base", "large")
LOSSES = ("softmax", "gbce")
DEVICES = ("auto", "cpu", "cuda")
DEFAULT_KIND, DEFAULT_PRESET, DEFAULT_LOSS = KINDS[0], PRESET_NAMES[0], LOSSES[0]
