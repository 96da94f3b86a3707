"""The encoder in int8: which kinds have one, what it may lose, and that it is the same every time."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from services.trainer.model.answering.evaluation import leave_one_out
from services.trainer.model.contest.contestant_names import UnknownContestant
from services.trainer.model.contest.contestants import encoder_config, encoders
from services.trainer.model.encoders.registry import PRESETS, config_of
from services.trainer.model.export.encoder_graph import ExportError, onnx_bytes, prove_parity, session_of
from services.trainer.model.export.graph_scorer import GraphScorer
from services.trainer.model.export.int8 import int8_bytes, int8_of, is_faster, loses_little, speed_up
from services.trainer.model.fitting.plan import ignore_progress
from services.trainer.model.protocols.outcome import Contestant
from tests.unit.trainer.builders import PLAN, random_encoder, random_model, walks

SPLIT = leave_one_out(walks())


@pytest.fixture(scope="module")
def lstm():
    return random_model(config_of("lstm", "small"))


@pytest.fixture(scope="module")
def graph(lstm) -> bytes:
    return onnx_bytes(lstm.encoder)


@pytest.fixture(scope="module")
def quantised(graph) -> bytes:
    return int8_bytes(graph)


def test_its_weights_are_a_quarter_of_the_size(graph, quantised):
    assert len(quantised) < 0.4 * len(graph)


def test_weight_matrices_and_recurrences_are_quantised(quantised):
    kinds = {node.op_type for node in onnx.load_from_string(quantised).graph.node}
    assert {"MatMulInteger", "DynamicQuantizeLSTM"} <= kinds


def test_batch_and_length_stay_free(quantised):
    first = session_of(quantised).get_inputs()[0]
    assert (first.name, first.shape) == ("history_vectors", ["batch", "length", 64])


def test_equal_graphs_give_equal_bytes_without_paths(graph, quantised):
    assert int8_bytes(graph) == quantised
    assert b"/tmp" not in quantised


def test_the_tolerance_is_what_quantisation_moved_the_golden_vectors(lstm, graph):
    parity = prove_parity(lstm, graph)
    made = int8_of(graph, parity)
    moved = np.abs(made.golden_outputs - parity.golden_outputs).max()
    assert 0 < made.tolerance == moved < 0.5 * parity.golden_outputs.std()


def test_a_graph_is_as_quick_as_itself(graph, lstm):
    assert 0.5 < speed_up(graph, graph, prove_parity(lstm, graph).golden_inputs) < 2.0


@pytest.mark.parametrize(
    ("kind", "presets"),
    [
        ("lstm", {"small", "base", "large"}),
        ("hstu", {"small", "base", "large"}),
        ("transformer", {"base", "large"}),
        ("cnn", {"base", "large"}),
        ("gru", set()),
        ("mf", set()),
    ],
)
def test_which_encoders_are_faster_in_int8(kind, presets):
    assert {name for name, config in PRESETS[kind].items() if is_faster(config)} == presets


@pytest.mark.parametrize(
    ("whole", "quantised", "little"),
    [(0.1, 0.099, True), (0.1, 0.0989, False), (0.1, 0.2, True), (0, 0, False)],
)
def test_a_hundredth_may_be_lost(whole, quantised, little):
    assert loses_little({"ndcg@10": whole, "int8/ndcg@10": quantised}) is little


def test_what_was_not_judged_is_not_good_enough():
    assert not loses_little({"ndcg@10": 0.1})


def test_an_encoder_without_weight_matrices_cannot_be_quantised():
    with pytest.raises(ExportError, match="no weight matrix"):
        int8_bytes(onnx_bytes(random_encoder(config_of("mf", "small", 8))))


@pytest.mark.parametrize("names", [["gru", "gru+int8"], ["gru+int8", "gru"]])
def test_float32_and_int8_of_one_evaluation_are_one_model_in_two_precisions(names):
    first, second = (each.make() for each in gru_contestants(names, continue_every=20))
    for learner in (first, second):
        for lesson in (SPLIT.train.take(slice(0, 150)), SPLIT.train.take(slice(150, 210))):
            learner.learn(lesson)
    scorers = dict(zip(names, (first.scorer(), second.scorer()), strict=True))
    model, histories = scorers["gru"].model, SPLIT.cases.histories
    expected = GraphScorer(int8_bytes(onnx_bytes(model.encoder)), model)(histories)
    assert np.array_equal(scorers["gru+int8"](histories), expected)


def test_what_is_judged_in_two_precisions_answers_after_each_lesson_as_it_was_then():
    ahead, behind = (each.make() for each in gru_contestants(["gru", "gru+int8"], continue_every=20))
    ahead.learn(SPLIT.train.take(slice(0, 150)))
    then = ahead.scorer().model
    ahead.learn(SPLIT.train.take(slice(150, 210)))
    behind.learn(SPLIT.train.take(slice(0, 150)))
    histories = SPLIT.cases.histories
    expected = GraphScorer(int8_bytes(onnx_bytes(then.encoder)), then)(histories)
    assert ahead.scorer().model is not then
    assert np.array_equal(behind.scorer()(histories), expected)


def gru_contestants(names: list[str], continue_every: int) -> list[Contestant]:
    plan = replace(PLAN, encoder=encoder_config("gru", "small"))
    return encoders(dict.fromkeys(names, plan), continue_every, lambda _: ignore_progress)


@pytest.mark.parametrize("name", ["gru+int8+rules", "gru+rules+int8"])
def test_no_contestant_is_mixed_with_rules_and_in_int8(name):
    with pytest.raises(UnknownContestant, match="there is no such encoder"):
        encoder_config(name, "small")


def test_matrix_factorisation_is_no_contestant_in_int8():
    with pytest.raises(UnknownContestant, match="no weights to quantise"):
        encoder_config("mf+int8", "small")
