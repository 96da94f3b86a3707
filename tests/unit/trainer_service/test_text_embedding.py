"""Vectors of texts, made by the library itself, without a network."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.settings import TrainerSettings
from services.trainer.text_embedding import MOST_CHARACTERS, TextEmbedding, text_embedding
from shared.runtime.settings import read_settings

EMBEDDING = TextEmbedding()
NO_NETWORK = """
import socket, sys
from services.trainer.text_embedding import TextEmbedding

def refused(*_):
    raise SystemExit("the network was asked for")

socket.socket.connect = socket.getaddrinfo = refused
print(TextEmbedding().vectors(["a lamp"]).shape)
"""
NOT_ASKED_FOR = """
import sys
import services.trainer.main
print([name for name in ("wordllama", "tokenizers", "safetensors") if name in sys.modules])
"""


def output_of(program: str) -> str:
    """What a Python process of its own prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_texts_that_mean_about_the_same_are_nearer_than_others():
    couch, sofa, kitten, cat = EMBEDDING.vectors(["couch", "sofa", "kitten", "cat"])
    assert min(couch @ sofa, kitten @ cat) > 2 * max(couch @ cat, sofa @ kitten, couch @ kitten)


@given(st.lists(st.text(max_size=40), max_size=5))
def test_vectors_have_length_one_or_none_and_depend_on_their_text_alone(texts):
    together = EMBEDDING.vectors(texts)
    assert together.shape == (len(texts), 256) and together.dtype == np.float32
    lengths = np.linalg.norm(together, axis=1)
    assert np.all((lengths == 0) | (np.abs(lengths - 1) < 1e-5))
    for text, vector in zip(texts, together, strict=True):
        assert np.array_equal(EMBEDDING.vectors([text])[0], vector)


def test_a_text_without_a_word_has_a_vector_of_zeros():
    assert not EMBEDDING.vectors([""]).any()


def test_of_a_long_text_the_beginning_counts():
    long = "lamp " * MOST_CHARACTERS
    assert np.array_equal(*EMBEDDING.vectors([long, long[:MOST_CHARACTERS]]))


def test_the_model_comes_with_its_package_and_not_by_the_network():
    assert output_of(NO_NETWORK) == "(1, 256)"


def test_what_is_not_asked_for_is_not_loaded():
    assert TrainerSettings().text_embeddings == "none" and text_embedding("none") is None
    assert output_of(NOT_ASKED_FOR) == "[]"


def test_a_missing_extra_ends_the_start_with_the_setting_and_what_to_do(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wordllama", None)
    monkeypatch.setenv("FRESHET_TEXT_EMBEDDINGS", "wordllama")
    with pytest.raises(SystemExit) as ended:
        read_settings(TrainerSettings)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert (
        "FRESHET_TEXT_EMBEDDINGS='wordllama'" in told and "pip install" in told and "[trainer,text]" in told
    )


def test_the_default_does_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordllama", None)
    assert TrainerSettings().text_embeddings == "none"
