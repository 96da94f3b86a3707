"""What a bundle says about itself: enough to check it, to serve it, and to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from shared.domain.models.mixture import Mixture
from shared.domain.presets.behaviours import RANKER_INPUTS, RANKER_OUTPUT, Behaviours

FORMAT = 1
VERSION_DIGITS = 16
ENCODER_INPUTS = ("history_vectors", "event_type", "age_seconds", "mask")
ENCODER_OUTPUT = "user_vector"
_MIXTURE = ("weight", "floor", "ease_weight", "ease_floor")


class ManifestError(ValueError):
    """The manifest cannot be used by this version; the message says why."""


@dataclass(frozen=True)
class Tensor:
    """Shape and dtype of one tensor; -1 in a shape is any length."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """A model's description. Holds no clock time, so that the same training gives the same digest.

    encoder: the kind, for example "transformer". dimension: D. item_count: V. history_length: T of serving.
    log_from, log_to: positions learned from, both included. tensors: the encoder's inputs and output by name.
    continued_from: version of the model that training went on from; empty when it began anew.
    mixture: how its experts are mixed in; None without any. metrics: judged on traffic later than training. files:
    sha256 in hexadecimal of every other file of the bundle.
    """

    encoder: str
    dimension: int
    item_count: int
    history_length: int
    log_from: int
    log_to: int
    seed: int
    code_revision: str
    domain: str
    tensors: Mapping[str, Tensor]
    mixture: Mixture | None = None
    continued_from: str = ""
    behaviours: Behaviours | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> bytes:
        """The manifest as JSON, the same bytes for the same content."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """Parse and check. Raises ManifestError."""
        try:
            values = json.loads(content)
            if values.get("format") != FORMAT:
                raise ManifestError(f"format {values.get('format')!r} is not {FORMAT}")
            known = {each.name for each in fields(cls)}
            values = {key: value for key, value in values.items() if key in known}
            values["tensors"] = {
                name: Tensor(each["dtype"], tuple(each["shape"])) for name, each in values["tensors"].items()
            }
            if values.get("mixture"):
                values["mixture"] = _mixture(values["mixture"])
            if values.get("behaviours"):
                values["behaviours"] = Behaviours.from_mapping(values["behaviours"])
            manifest = cls(**values)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, ManifestError):
                raise
            raise ManifestError(f"not a manifest: {error!r}") from error
        manifest.check()
        return manifest

    def check(self) -> None:
        """Raise ManifestError unless the encoder has the one signature that serving knows."""
        ranker = {*RANKER_INPUTS, RANKER_OUTPUT} if self.behaviours else set()
        missing = {*ENCODER_INPUTS, ENCODER_OUTPUT, *ranker} - set(self.tensors)
        if missing:
            raise ManifestError(f"tensors are missing: {', '.join(sorted(missing))}")
        if self.item_count < 1 or self.dimension < 1:
            raise ManifestError(f"empty item table: {self.item_count} items of {self.dimension} dimensions")


def _mixture(values: Mapping[str, Any]) -> Mixture:
    numbers = {each: float(values[each]) for each in _MIXTURE if each in values}
    mixture = Mixture(event_types=tuple(values["event_types"]), **numbers)
    for weight, floor in ((mixture.weight, mixture.floor), (mixture.ease_weight, mixture.ease_floor)):
        if not (weight >= 0 and floor > 0):
            raise ManifestError(f"mixture of weight {weight} and floor {floor}")
    return mixture


def model_version(bundle_digest: str) -> str:
    """The version that people see: the first digits of the bundle's digest."""
    return bundle_digest[:VERSION_DIGITS]
