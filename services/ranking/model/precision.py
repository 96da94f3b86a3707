"""Which of a bundle's encoders serves: float32, or int8 where the trainer found it quicker and good enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from services.ranking.model.sessions import Session
from shared.adapters.codecs.bundle import INT8_OUTPUT, INT8_TOLERANCE, Bundle, CorruptBundleError
from shared.domain.models.manifest import ENCODER_INPUTS, ENCODER_OUTPUT

FLOAT32, INT8, AUTO = "float32", "int8", "auto"
GOLDEN_TOLERANCE = 1e-4
"""Largest difference allowed between the golden output and what a float32 graph gives here."""
_NONE = "the bundle carries no int8 encoder: its kind is not quicker so, or it was not judged good enough"
OpenSession = Callable[[bytes], Session]
"""Raises CorruptBundleError."""


class Precision(NamedTuple):
    """precision: "float32" or "int8", as it is served. precision_reason: why not as it was wanted, empty if so."""

    precision: str
    precision_reason: str = ""


class Opened(NamedTuple):
    """A session whose golden output is right, and what it is."""

    session: Session
    precision: Precision


def open_encoder(bundle: Bundle, wanted: str, open_session: OpenSession) -> Opened:
    """The encoder that serves. wanted: "float32", "int8", or "auto" for int8 where there is one.

    Raises CorruptBundleError when it must be float32 and that fails; an int8 encoder that fails gives way to it.
    """
    if wanted == FLOAT32:
        return Opened(_float32(bundle, open_session), Precision(FLOAT32))
    try:
        if bundle.int8_encoder:
            return Opened(_int8(bundle, open_session), Precision(INT8))
        reason = _NONE if wanted == INT8 else ""
    except CorruptBundleError as error:
        reason = f"the int8 encoder failed: {error}"
    return Opened(_float32(bundle, open_session), Precision(FLOAT32, reason))


def _float32(bundle: Bundle, open_session: OpenSession) -> Session:
    session = open_session(bundle.encoder)
    check_golden(session, bundle, ENCODER_OUTPUT, GOLDEN_TOLERANCE)
    return session


def _int8(bundle: Bundle, open_session: OpenSession) -> Session:
    session = open_session(bundle.int8_encoder)
    tolerance = bundle.golden.get(INT8_TOLERANCE)
    if tolerance is None or tolerance.shape != (1,):
        raise CorruptBundleError(f"{INT8_TOLERANCE} is missing or no number")
    check_golden(session, bundle, INT8_OUTPUT, float(tolerance[0]))
    return session


def check_golden(session: Session, bundle: Bundle, name: str, tolerance: float) -> None:
    """Raises CorruptBundleError unless the encoder gives the golden output of that name, to within `tolerance`."""
    golden, dimension = bundle.golden, bundle.manifest.dimension
    try:
        actual = session.run(ENCODER_OUTPUT, {name: golden[name] for name in ENCODER_INPUTS})
    except Exception as error:  # onnxruntime raises classes of its own
        raise CorruptBundleError(f"the encoder fails on the golden inputs: {error!r}") from error
    expected = golden.get(name, np.empty(0, np.float32))
    if actual.shape != expected.shape or actual.shape[1:] != (dimension,):
        shapes = f"the encoder gives {actual.shape}, the golden output has {expected.shape}"
        raise CorruptBundleError(f"{shapes}, the item table has {dimension} dimensions")
    difference = float(np.abs(actual - expected).max(initial=0.0))
    if not difference <= tolerance:
        raise CorruptBundleError(f"golden outputs differ by {difference:.2g}, more than {tolerance:.2g}")
