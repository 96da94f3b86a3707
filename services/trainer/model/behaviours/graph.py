"""The head as ONNX, written node by node.

Decision: not by torch's exporter, which takes many seconds for these twenty nodes. That the two say the same is proven
for every head, see `export`.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from services.trainer.model.behaviours.head import WIDE, BehaviourHead
from services.trainer.model.export.encoder_graph import OPSET
from shared.domain.presets.behaviours import RANKER_INPUTS, RANKER_OUTPUT

_IR_VERSION = 10


def ranker_graph(head: BehaviourHead) -> bytes:
    """The serialised graph; equal weights give equal bytes. What standardises and calibrates is folded into weights."""
    weights = _folded(head)
    dimension, objectives = len(weights["of_user"]), len(weights["constant"])
    shapes: tuple[list[str | int | None], ...] = (
        ["B", dimension],
        ["B", "N", dimension],
        ["B", "N"],
        ["B", "N"],
    )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(RANKER_INPUTS, shapes, strict=True)
    ]
    output = helper.make_tensor_value_info(RANKER_OUTPUT, TensorProto.FLOAT, ["B", "N", objectives])
    constants = {"items_axis": np.array([1]), "last_axis": np.array([2]), **weights}
    initialisers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(_nodes(), "ranker", inputs, [output], initialisers)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    return model.SerializeToString(deterministic=True)


def _nodes() -> list[NodeProto]:
    node = helper.make_node
    return [
        node("Unsqueeze", ["user_vector", "items_axis"], ["user"]),
        node("Mul", ["user", "item_vectors"], ["product"]),
        node("ReduceSum", ["product", "last_axis"], ["score"], keepdims=1),
        node("Unsqueeze", ["item_bias", "last_axis"], ["bias"]),
        node("Unsqueeze", ["rule_score", "last_axis"], ["rules"]),
        node("Concat", ["score", "bias", "rules"], ["wide"], axis=2),
        node("MatMul", ["product", "of_product"], ["from_product"]),
        node("MatMul", ["user", "of_user"], ["from_user"]),
        node("MatMul", ["item_vectors", "of_item"], ["from_item"]),
        node("MatMul", ["wide", "of_wide"], ["from_wide"]),
        node("Add", ["from_product", "from_item"], ["both"]),
        node("Add", ["both", "from_user"], ["all_vectors"]),
        node("Add", ["all_vectors", "from_wide"], ["summed"]),
        node("Add", ["summed", "hidden_constant"], ["before"]),
        node("Relu", ["before"], ["hidden"]),
        node("MatMul", ["hidden", "of_hidden"], ["deep_log_odds"]),
        node("MatMul", ["wide", "straight"], ["wide_log_odds"]),
        node("Add", ["deep_log_odds", "wide_log_odds"], ["both_log_odds"]),
        node("Add", ["both_log_odds", "constant"], ["log_odds"]),
        node("Sigmoid", ["log_odds"], [RANKER_OUTPUT]),
    ]


def _folded(head: BehaviourHead) -> dict[str, np.ndarray]:
    """The head's weights for features as they come, and for log-odds as they leave, float32."""
    state = {name: tensor.numpy().astype(np.float64) for name, tensor in head.state_dict().items()}
    mean, scale, slope = state["mean"], state["scale"], state["slope"]
    hidden = (state["hidden.weight"] / scale).T  # (F, H)
    straight = (state["wide.weight"] / scale[-WIDE:]).T  # (3, O)
    constant = state["wide.bias"] - mean[-WIDE:] @ straight
    size = (len(mean) - WIDE) // 3
    folded = {
        "of_product": hidden[:size],
        "of_user": hidden[size : 2 * size],
        "of_item": hidden[2 * size : 3 * size],
        "of_wide": hidden[-WIDE:],
        "hidden_constant": state["hidden.bias"] - mean @ hidden,
        "of_hidden": state["out.weight"].T * slope,
        "straight": straight * slope,
        "constant": constant * slope + state["shift"],
    }
    return {name: np.ascontiguousarray(array, np.float32) for name, array in folded.items()}
