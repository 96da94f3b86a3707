"""Export of the encoder to ONNX, and the proof that onnxruntime computes the same vectors."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxscript.optimizer
import torch

from services.trainer.model.encoders.signature import ServingEncoder, UserEncoder
from services.trainer.model.fitting.training import TrainedModel

INPUT_NAMES = ("history_vectors", "event_type", "age_seconds", "mask")
OUTPUT_NAME = "user_vector"
OPSET = 18
LARGEST_DIFFERENCE = 1e-4
"""Largest absolute difference between torch and onnxruntime that passes."""

_GOLDEN_SHAPE = (8, 50)
_OTHER_SHAPES = ((1, 1), (1, 50), (3, 7))


class ExportError(Exception):
    """The encoder could not be exported."""


class ParityError(ExportError):
    """onnxruntime computes other vectors than torch; nothing was written."""


@dataclass(frozen=True, slots=True, eq=False)
class Parity:
    """The proof that goes into the manifest.

    Attributes:
        golden_inputs: by input name: ``history_vectors (B, T, D) float32``, ``event_type (B, T) int64``,
            ``age_seconds (B, T) float32``, ``mask (B, T) bool``; histories of all lengths, one of them empty.
        golden_outputs: ``user_vector (B, D) float32`` as torch computes it.
        max_abs_difference: largest difference found, over the golden batch and batches of other shapes.
    """

    golden_inputs: Mapping[str, np.ndarray]
    golden_outputs: np.ndarray
    max_abs_difference: float


def export_encoder(model: TrainedModel, path: Path) -> Parity:
    """Writes ``user_encoder.onnx`` with dynamic B and T, once its parity is proven.

    Args:
        model: what to export; the item table stays outside the graph.
        path: file to write; it appears whole or not at all.

    Raises:
        ParityError: vectors differ by more than `LARGEST_DIFFERENCE`, or are not finite.
        ExportError: the graph could not be built or loaded.
    """
    graph = onnx_bytes(model.encoder)
    proof = prove_parity(model, graph)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(graph)
    os.replace(partial, path)
    return proof


def onnx_bytes(encoder: UserEncoder) -> bytes:
    """The serialised graph of the serving form; equal weights give equal bytes.

    Decision: torch's tracing exporter, then onnxscript's optimiser. It takes 0.2 to 0.6 s where the exporter by
    `torch.export` took 6 to 17 s, and onnxruntime runs what comes out at the same speed or up to a tenth faster.
    Tracing would fix what Python decides by a batch's values or shape; no encoder decides anything so, and the
    parity proof over other shapes would show it. torch calls this exporter deprecated; its version is pinned.

    Raises:
        ExportError: torch could not translate the module.
    """
    try:
        traced = onnx.load_from_string(_traced(encoder))
        graph = onnxscript.optimizer.optimize(traced)
    except Exception as error:
        raise ExportError(f"the encoder could not be translated: {error}") from error
    return without_traces(graph).SerializeToString(deterministic=True)


def _traced(encoder: UserEncoder) -> bytes:
    """The graph as the exporter gives it, dynamic in B and T."""
    width = encoder.config.d_model
    example = tuple(map(torch.from_numpy, _random_inputs(3, 5, width, _table(width)).values()))
    graph = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of what the proof of parity looks at
        torch.onnx.export(
            ServingEncoder(encoder).eval(),
            example,
            graph,  # type: ignore[arg-type]  # a buffer is taken, too
            input_names=list(INPUT_NAMES),
            output_names=[OUTPUT_NAME],
            opset_version=OPSET,
            dynamic_axes={OUTPUT_NAME: {0: "batch"}}
            | {name: {0: "batch", 1: "length"} for name in INPUT_NAMES},
            dynamo=False,
        )
    return graph.getvalue()


def prove_parity(model: TrainedModel, graph: bytes) -> Parity:
    """Runs the graph and the training form of the encoder on the same batches.

    Raises:
        ParityError: as `export_encoder`.
        ExportError: onnxruntime refuses the graph.
    """
    session = session_of(graph)
    width = model.encoder.config.d_model
    golden = _random_inputs(*_GOLDEN_SHAPE, width, model.item_vectors)
    expected = _torch_vectors(model.encoder, golden)
    worst = _difference(session, golden, expected)
    for batch, length in _OTHER_SHAPES:
        inputs = _random_inputs(batch, length, width, model.item_vectors)
        found = _difference(session, inputs, _torch_vectors(model.encoder, inputs))
        worst = float(np.maximum(worst, found))  # Python's max would lose a NaN
    if not worst <= LARGEST_DIFFERENCE:
        raise ParityError(f"vectors differ by {worst:.2e}, allowed are {LARGEST_DIFFERENCE:.0e}")
    return Parity(golden, expected, worst)


def _torch_vectors(encoder: UserEncoder, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """``(B, D) float32`` of the training form, in evaluation mode."""
    with torch.no_grad():
        return encoder.eval()(*map(torch.from_numpy, inputs.values()))[:, -1].numpy().copy()


def _difference(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray], expected: np.ndarray
) -> float:
    """Largest absolute difference; NaN where either side is not finite."""
    (found,) = session.run([OUTPUT_NAME], dict(inputs))
    if found.shape != expected.shape:
        raise ParityError(f"user_vector has shape {found.shape}, expected is {expected.shape}")
    return float(np.max(np.abs(found - expected)))


def session_of(graph: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session of the graph. Raises ExportError when onnxruntime refuses it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"onnxruntime refuses the graph: {error}") from error


def _table(width: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((16, width)).astype(np.float32)


def _random_inputs(batch: int, length: int, width: int, table: np.ndarray) -> dict[str, np.ndarray]:
    """Histories over ``table``; they grow from none in the first row to the full length in the last."""
    generator = np.random.default_rng([batch, length, width])
    lengths = np.linspace(0, length, batch).round() if batch > 1 else np.array([length])
    mask = np.arange(length) >= length - lengths[:, None]
    vectors = table[generator.integers(0, len(table), (batch, length))]
    ages = np.sort(generator.exponential(86_400.0, (batch, length)), axis=1)[:, ::-1]
    return {
        "history_vectors": np.ascontiguousarray(vectors, np.float32),
        "event_type": np.where(mask, generator.integers(1, 22, (batch, length)), 0),
        "age_seconds": np.where(mask, ages, 0.0).astype(np.float32),
        "mask": mask,
    }


def without_traces(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Drops what the exporter notes about source files, so that the bytes tell of the weights alone."""
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer]:
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    proto.ClearField("metadata_props")
    proto.graph.ClearField("metadata_props")
    return proto
