"""Encoders by name. A new kind is a file with its `PRESETS`, a line here, and its name in `names`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.trainer.model.encoders import cnn, gru, hstu, lstm, mf, transformer
from services.trainer.model.encoders.names import DEFAULT_KIND, DEFAULT_PRESET
from services.trainer.model.encoders.signature import EncoderConfig, UserEncoder

PRESETS: Mapping[str, Mapping[str, EncoderConfig]] = {
    "transformer": transformer.PRESETS,
    "hstu": hstu.PRESETS,
    "gru": gru.PRESETS,
    "lstm": lstm.PRESETS,
    "cnn": cnn.PRESETS,
    "mf": mf.PRESETS,
}
"""By kind, by name of the preset; every kind has the presets small, base and large."""


class UnknownEncoderError(ValueError):
    """There is no encoder of that name; the message lists those there are."""


def config_of(kind: str = DEFAULT_KIND, preset: str = DEFAULT_PRESET, d_model: int = 0) -> EncoderConfig:
    """The shape of that name; d_model: width of the vectors, 0 for the preset's own.

    Raises UnknownEncoderError; ValueError for a width that the kind cannot have.
    """
    if kind not in PRESETS:
        raise UnknownEncoderError(f"there is no encoder {kind!r}; there are {', '.join(PRESETS)}")
    if preset not in PRESETS[kind]:
        known = ", ".join(PRESETS[kind])
        raise UnknownEncoderError(f"encoder {kind} has no preset {preset!r}; it has {known}")
    config = PRESETS[kind][preset]
    return replace(config, d_model=d_model) if d_model else config


def encoder_of(kind: str = DEFAULT_KIND, preset: str = DEFAULT_PRESET, d_model: int = 0) -> UserEncoder:
    """A fresh encoder. Arguments and errors as of `config_of`."""
    return config_of(kind, preset, d_model).build()
