"""A model small enough to reckon by hand: a user's vector is the sum of the vectors of the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from onnx import TensorProto, helper

from services.ranking.features.user_state import UserState
from services.ranking.model.model_slot import ServingModel, view_of
from services.ranking.model.scorer import Scorer
from shared.adapters.codecs.bundle import Bundle, pack
from shared.adapters.codecs.keys import item_key, item_keys
from shared.adapters.jetstream.catalogue import Catalogue
from shared.domain.events.event import EventType
from shared.domain.models.manifest import ENCODER_OUTPUT, Tensor
from shared.domain.presets.behaviours import RANKER_INPUTS, RANKER_OUTPUT, SHOWN, Behaviours
from tests.builders import bundle, catalogue_item

ITEMS = ("a", "b", "c", "d")
NOW_MS = 1_700_000_000_000
NO_KEYS = np.empty(0, np.uint64)


def sum_encoder(dimension: int = 4) -> bytes:
    """The encoder as ONNX."""
    inputs = [
        helper.make_tensor_value_info("history_vectors", TensorProto.FLOAT, ["B", "T", dimension]),
        helper.make_tensor_value_info("event_type", TensorProto.INT64, ["B", "T"]),
        helper.make_tensor_value_info("age_seconds", TensorProto.FLOAT, ["B", "T"]),
        helper.make_tensor_value_info("mask", TensorProto.BOOL, ["B", "T"]),
    ]
    output = helper.make_tensor_value_info(ENCODER_OUTPUT, TensorProto.FLOAT, ["B", dimension])
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    total = helper.make_node("ReduceSum", ["history_vectors", "axis"], [ENCODER_OUTPUT], keepdims=0)
    graph = helper.make_graph([total], "sum", inputs, [output], [axis])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def golden(dimension: int = 4) -> dict[str, np.ndarray]:
    """Inputs and the output that they must give."""
    return {
        "history_vectors": np.ones((1, 2, dimension), np.float32),
        "event_type": np.ones((1, 2), np.int64),
        "age_seconds": np.ones((1, 2), np.float32),
        "mask": np.ones((1, 2), bool),
        ENCODER_OUTPUT: np.full((1, dimension), 2, np.float32),
    }


def sum_bundle(item_ids: Sequence[str] = ITEMS) -> Bundle:
    """Each item likes itself best: the item vectors are unit vectors, in the order of their keys."""
    made = bundle(item_ids, dimension=4, encoder=sum_encoder())
    vectors = np.eye(len(item_ids), 4, dtype=np.float32)
    return pack(replace(made, item_vectors=vectors, golden=golden()))[1]


def score_ranker(dimension: int = 4) -> bytes:
    """A ranker as ONNX: of two behaviours, sigmoid of the model's score u.v, and sigmoid of bias and rules."""
    inputs = [
        helper.make_tensor_value_info("user_vector", TensorProto.FLOAT, ["B", dimension]),
        helper.make_tensor_value_info("item_vectors", TensorProto.FLOAT, ["B", "N", dimension]),
        helper.make_tensor_value_info("item_bias", TensorProto.FLOAT, ["B", "N"]),
        helper.make_tensor_value_info("rule_score", TensorProto.FLOAT, ["B", "N"]),
    ]
    output = helper.make_tensor_value_info(RANKER_OUTPUT, TensorProto.FLOAT, ["B", "N", 2])
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [2])
    nodes = [
        helper.make_node("Unsqueeze", ["user_vector", "axis"], ["column"]),
        helper.make_node("MatMul", ["item_vectors", "column"], ["score"]),
        helper.make_node("Add", ["item_bias", "rule_score"], ["rest"]),
        helper.make_node("Unsqueeze", ["rest", "axis"], ["others"]),
        helper.make_node("Concat", ["score", "others"], ["log_odds"], axis=2),
        helper.make_node("Sigmoid", ["log_odds"], [RANKER_OUTPUT]),
    ]
    graph = helper.make_graph(nodes, "score", inputs, [output], [axis])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def ranker_golden(dimension: int = 4) -> dict[str, np.ndarray]:
    """Inputs and the output that they must give: scores of 0."""
    shapes = {"user_vector": (1, dimension), "item_vectors": (1, 2, dimension)}
    inputs = {name: np.zeros(shapes.get(name, (1, 2)), np.float32) for name in RANKER_INPUTS}
    return {**inputs, RANKER_OUTPUT: np.full((1, 2, 2), 0.5, np.float32)}


def with_ranker(made: Bundle) -> Bundle:
    """The bundle with `score_ranker`, of the behaviours "click" and "purchase"."""
    tensors = {name: Tensor("float32", (-1, -1)) for name in (*RANKER_INPUTS, RANKER_OUTPUT)}
    behaviours = Behaviours(("click", "purchase"), SHOWN, 86_400.0)
    manifest = replace(made.manifest, behaviours=behaviours, tensors={**made.manifest.tensors, **tensors})
    return pack(replace(made, manifest=manifest, ranker=score_ranker(), ranker_golden=ranker_golden()))[1]


def catalogue(item_ids: Sequence[str] = ITEMS) -> Catalogue:
    """A catalogue of these items, added in this order."""
    made = Catalogue()
    for position, item_id in enumerate(item_ids, 1):
        made.put(catalogue_item(item_id).SerializeToString(), position)
    return made


def serving(known: Sequence[str] = ITEMS, made: Bundle | None = None) -> ServingModel:
    """The model in service beside a catalogue that knows these items."""
    when = datetime(2025, 1, 1, tzinfo=UTC)
    return view_of(Scorer(made or sum_bundle()), catalogue(known).known(), when, when)


def state(*history: str, consumed: Sequence[str] = (), length: int = 4) -> UserState:
    """A user who clicked these items."""
    keys = np.zeros(length, np.uint64)
    if history:
        keys[-len(history) :] = [item_key(each) for each in history]
    types = np.where(keys > 0, EventType.CLICK, 0).astype(np.uint8)
    return UserState(keys, types, np.full(length, NOW_MS - 1000), item_keys(consumed), position=9)
