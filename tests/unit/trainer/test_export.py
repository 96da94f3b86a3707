"""The graph is the encoder, for every shape, or it is not written."""

import dataclasses

import numpy as np
import onnxruntime
import pytest

from services.trainer.model.export import encoder_graph
from services.trainer.model.export.encoder_graph import ParityError, export_encoder, onnx_bytes, prove_parity
from tests.unit.trainer.builders import random_encoder, random_model


@pytest.fixture(scope="module")
def graph() -> bytes:
    return onnx_bytes(random_encoder())


def test_the_signature_is_the_bundles(graph):
    session = onnxruntime.InferenceSession(graph)
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("history_vectors", "tensor(float)", ["batch", "length", 8]),
        ("event_type", "tensor(int64)", ["batch", "length"]),
        ("age_seconds", "tensor(float)", ["batch", "length"]),
        ("mask", "tensor(bool)", ["batch", "length"]),
    ]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("user_vector", ["batch", 8])]


def test_onnxruntime_agrees_with_torch(graph):
    proof = prove_parity(random_model(), graph)
    assert proof.max_abs_difference <= 1e-4
    assert not proof.golden_inputs["mask"][0].any()
    assert np.isfinite(proof.golden_outputs).all()


def test_a_graph_of_other_weights_is_refused(graph):
    model = random_model()
    model.encoder.newcomer.data += 1.0
    with pytest.raises(ParityError):
        prove_parity(model, graph)


def test_vectors_that_are_not_finite_are_refused(graph):
    model = random_model()
    model.encoder.newcomer.data *= np.nan
    with pytest.raises(ParityError):
        prove_parity(model, graph)


def test_a_graph_that_fails_on_one_shape_alone_is_refused(monkeypatch, graph):
    def vectors_of(encoder, inputs):
        expected = torch_vectors(encoder, inputs)
        return expected * np.nan if inputs["mask"].shape == (3, 7) else expected

    torch_vectors = encoder_graph._torch_vectors
    monkeypatch.setattr(encoder_graph, "_torch_vectors", vectors_of)
    with pytest.raises(ParityError):
        prove_parity(random_model(), graph)


def test_nothing_is_written_without_parity(tmp_path, monkeypatch, graph):
    model = random_model()
    model = dataclasses.replace(model, item_vectors=model.item_vectors * np.inf)
    monkeypatch.setattr(encoder_graph, "onnx_bytes", lambda _: graph)
    with pytest.raises(ParityError):
        export_encoder(model, tmp_path / "user_encoder.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_file_holds_the_graph(tmp_path, monkeypatch, graph):
    monkeypatch.setattr(encoder_graph, "onnx_bytes", lambda _: graph)
    export_encoder(random_model(), tmp_path / "user_encoder.onnx")
    assert (tmp_path / "user_encoder.onnx").read_bytes() == graph


def test_equal_weights_give_equal_bytes_without_paths(graph):
    assert onnx_bytes(random_encoder()) == graph
    assert b".py" not in graph
