"""A bundle with an int8 encoder small enough to reckon by hand: as `model`, and off by a step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from shared.adapters.codecs.bundle import INT8_OUTPUT, INT8_TOLERANCE, Bundle, pack, unpack
from tests.unit.ranking.model import golden, sum_bundle, sum_encoder

STEP = 0.25
"""What the stand-in for quantisation adds to each number of a vector."""


def stepped_encoder() -> bytes:
    """The encoder that sums, and is off by a step."""
    model = ModelProto.FromString(sum_encoder())
    model.graph.node[0].output[0] = "total"
    model.graph.initializer.append(helper.make_tensor("step", 1, [1], [STEP]))
    model.graph.node.append(helper.make_node("Add", ["total", "step"], [model.graph.output[0].name]))
    return model.SerializeToString()


def carrying(off: float = 0.0, **changed: Any) -> Bundle:
    """A bundle with an int8 encoder whose golden output is `off` by so much."""
    expected = np.full((1, 4), 2 + STEP + off, np.float32)
    extra = {INT8_OUTPUT: expected, INT8_TOLERANCE: np.array([0.1], np.float32)}
    made = replace(sum_bundle(), int8_encoder=stepped_encoder(), golden={**golden(), **extra})
    return unpack(pack(replace(made, **changed))[0])
