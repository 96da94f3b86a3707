"""The encoder in int8: weights of 8 bits beside the graph of float32, for kinds that are quicker so.

Dynamic quantisation (Jacob et al. 2018, https://arxiv.org/abs/1712.05877, eq. 1 and 2): weights once, activations
by the range of each batch, products summed in int32. Quantised are products with a weight matrix, convolutions and
LSTMs; norms, softmax, gates, attention between positions and the item table stay float32.

Decision: weights are uint8, one scale a matrix. On processors without VNNI the product of uint8 and int8 saturates
(vpmaddubsw adds two products in 16 bits: the CNN's vectors were off by 0.4 of their spread); int8 weights of 7 bits
do not, but convolutions then took twice the time of float32. uint8 by uint8 is exact everywhere.

Measured on AVX2 without VNNI, one thread, histories of 50; float32's time over int8's at batches of 1, 16 and 64
(large: 1 and 16), and NDCG@10 of leave-one-out on MovieLens 100k after a minute of training, float32 and int8:

    ===========  ==============  ==============  =========  ==============  ==============
    kind         small (64)      base (128)      large      small           base
    ===========  ==============  ==============  =========  ==============  ==============
    lstm         1.49 1.27 1.19  2.46 1.44 1.40  2.66 1.75  0.1115  0.1115
    hstu         1.10 1.11 1.09  1.21 1.22 1.20  1.33 1.17  0.0898  0.0896
    transformer  1.03 1.12 1.07  1.10 1.20 1.16  1.40 1.24  0.0837  0.0840  0.0762  0.0762
    cnn          1.00 1.05 1.03  1.10 1.10 1.12  1.15 1.15  0.0808  0.0808  0.0747  0.0752
    gru          1.07 1.03 1.01  1.02 1.03 1.02             0.0737  0.0734
    ===========  ==============  ==============  =========  ==============  ==============

Histories of 200, later, likewise: lstm 1.56 1.14 1.19, base 2.67 1.38 1.36; hstu 1.03 1.02 1.07, base 1.02 1.11 1.17;
transformer base 1.06 1.09 1.19; cnn base 1.24 1.22 0.98. NDCG@10: lstm 0.1156 0.1158; hstu 0.1018 0.1023; transformer
base 0.1070 0.1072; cnn base 0.1112 0.1113. The Transformer with its fold-in, base: 1.15 1.21 1.25, histories of 200
1.08 1.17 1.14, NDCG@10 0.1229 0.1225; beside it lstm base 0.1273 0.1272 (one model in both).

The GRU gains nothing: onnxruntime knows no quantised one, and what stands round it is small. The fold-in of mf has no
weight matrix at all. A small Transformer spends its time between positions: its last block asks for one position only.

Decision: the item table stays float32. In int8 scores of 3,700 items took 1.0 of the time for one user and 0.6 for
16, of 100,000 items 0.56 and 0.37, but they moved by up to 5 to 9 % of their spread, right before the ranking; and
deltas change rows in place, which a packed matrix does not allow.

Decision: which kinds carry an int8 graph is the table `LEAST_WIDTH`, not a clock: a bundle's digest depends on log,
code, seed and threads alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from services.trainer.model.encoders.signature import EncoderConfig
from services.trainer.model.export.encoder_graph import (
    OUTPUT_NAME,
    ExportError,
    Parity,
    session_of,
    without_traces,
)

LEAST_WIDTH = {"lstm": 64, "hstu": 64, "transformer": 128, "cnn": 128}
"""By kind, the width D from which on int8 is quicker; kinds that are not here never are."""
LARGEST_LOSS = 0.01
"""Share of NDCG@10 that int8 may lose."""
PREFIX = "int8/"
"""Before the names of its metrics."""

_WHOLE = ("LSTM", "Conv")
_LEAST_SIDE = 16
_ROUNDS = 9


class Int8(NamedTuple):
    """The graph, the vectors ``(B, D) float32`` that it gives for the golden inputs, and how far others' may differ.

    tolerance: the largest difference between it and float32 on these inputs. Where sums are rounded otherwise an
    activation may fall to the next of 256 steps; that moves a vector less than quantisation as such does.
    """

    graph: bytes
    golden_outputs: np.ndarray
    tolerance: float


def is_faster(config: EncoderConfig) -> bool:
    """Whether an encoder of this shape is quicker in int8."""
    return config.kind in LEAST_WIDTH and config.d_model >= LEAST_WIDTH[config.kind]


def loses_little(metrics: Mapping[str, float], k: int = 10) -> bool:
    """Whether int8 was judged and lost at most `LARGEST_LOSS` of the NDCG; False where nothing could be judged."""
    whole, quantised = metrics.get(f"ndcg@{k}", 0.0), metrics.get(f"{PREFIX}ndcg@{k}", 0.0)
    return whole > 0.0 and quantised >= (1.0 - LARGEST_LOSS) * whole


def int8_of(graph: bytes, parity: Parity) -> Int8:
    """The graph in int8, proven to run on the golden inputs. Raises ExportError."""
    quantised = int8_bytes(graph)
    (found,) = session_of(quantised).run([OUTPUT_NAME], dict(parity.golden_inputs))
    tolerance = float(np.max(np.abs(found - parity.golden_outputs)))
    if not np.isfinite(tolerance):
        raise ExportError("the int8 encoder gives vectors that are not finite")
    return Int8(quantised, found, tolerance)


def int8_bytes(graph: bytes) -> bytes:
    """The graph with its weight matrices, convolutions and LSTMs in int8; equal graphs give equal bytes.

    Raises:
        ExportError: it has none of them, or cannot be quantised.
    """
    model = onnx.load_from_string(graph)
    names = _quantised(model)
    if not names:
        raise ExportError("the encoder has no weight matrix that could be quantised")
    add_pre_process_metadata(model)  # the exporter's optimiser has been over it
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "int8.onnx"
        try:
            quantize_dynamic(
                model,
                file,
                op_types_to_quantize=["MatMul", *_WHOLE],
                nodes_to_quantize=names,
                weight_type=QuantType.QUInt8,
            )
            quantised = onnx.load(file)
        except Exception as error:
            raise ExportError(f"the encoder could not be quantised: {error}") from error
    return without_traces(quantised).SerializeToString(deterministic=True)


def speed_up(graph: bytes, quantised: bytes, inputs: Mapping[str, np.ndarray]) -> float:
    """Processor time of ``graph`` over that of ``quantised`` on ``inputs``, one thread: the median of runs in turn.

    For the eye only: a measured time must decide nothing that a bundle holds.
    """
    sessions = [session_of(each) for each in (graph, quantised)]
    ratios = []
    for _ in range(_ROUNDS):
        whole, less = (_seconds(session, inputs) for session in sessions)
        ratios.append(whole / max(less, 1e-9))
    return float(np.median(ratios[1:]))


def _seconds(session, inputs: Mapping[str, np.ndarray]) -> float:
    started = time.thread_time()
    session.run([OUTPUT_NAME], dict(inputs))
    return time.thread_time() - started


def _quantised(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes worth it: a matrix of a few rows or columns costs more to quantise than to multiply."""
    shapes = {each.name: tuple(each.dims) for each in model.graph.initializer}

    def worth_it(node: onnx.NodeProto) -> bool:
        shape = shapes.get(node.input[1], ()) if len(node.input) > 1 else ()
        matrix = node.op_type == "MatMul" and len(shape) == 2 and min(shape) >= _LEAST_SIDE
        return matrix or (node.op_type in _WHOLE and bool(shape))

    return [node.name for node in model.graph.node if worth_it(node)]
