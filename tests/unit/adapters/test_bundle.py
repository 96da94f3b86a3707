"""Bundles as bytes: the same content gives the same bytes, and damage is never taken for a model."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.codecs.bundle import CARD, CURVES, CorruptBundleError, pack, unpack
from tests.builders import bundle

PACKED, SEALED = pack(bundle())


def repacked(packed: bytes = PACKED, **files: bytes | None) -> bytes:
    """A bundle with files replaced, or left out where None; a double underscore stands for the dot."""
    changes = {name.replace("__", "."): content for name, content in files.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            if (content := changes.get(name, old.read(name))) is not None:
                new.writestr(name, content)
    return buffer.getvalue()


def test_a_bundle_comes_back_as_it_was():
    unpacked = unpack(PACKED)
    assert (unpacked.manifest, unpacked.digest, unpacked.encoder) == (SEALED.manifest, SEALED.digest, b"onnx")
    np.testing.assert_array_equal(unpacked.item_keys, SEALED.item_keys)
    np.testing.assert_array_equal(unpacked.item_vectors, SEALED.item_vectors)


def test_the_same_content_gives_the_same_bytes():
    assert pack(bundle())[0] == PACKED


def test_another_encoder_gives_another_version():
    assert pack(bundle(encoder=b"other"))[1].version != SEALED.version


def test_documents_come_back_as_they_were_and_belong_to_the_digest():
    documents = {CARD: b"# a model", CURVES: b"a picture"}
    packed, sealed = pack(replace(bundle(), documents=documents))
    assert unpack(packed).documents == documents
    assert sealed.version != SEALED.version


def test_a_bundle_from_before_there_were_documents_has_none():
    assert unpack(PACKED).documents == {}


def test_a_document_that_was_changed_is_refused():
    packed, _ = pack(replace(bundle(), documents={CARD: b"it beats popular"}))
    with pytest.raises(CorruptBundleError, match=r"model_card\.md has another digest"):
        unpack(repacked(packed, model_card__md=b"it beats everybody"))


def test_a_document_that_the_manifest_does_not_name_is_passed_over():
    buffer = io.BytesIO(PACKED)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(CARD, b"praise")
    assert unpack(buffer.getvalue()).documents == {}


@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_a_damaged_byte_is_refused_or_harmless(place, damage):
    damaged = bytearray(PACKED)
    damaged[place] ^= damage
    try:
        unpacked = unpack(bytes(damaged))
    except CorruptBundleError:
        return
    assert unpacked.digest == SEALED.digest
    np.testing.assert_array_equal(unpacked.item_vectors, SEALED.item_vectors)


@given(st.integers(0, len(PACKED) - 1))
def test_a_bundle_cut_short_is_refused(length):
    with pytest.raises(CorruptBundleError):
        unpack(PACKED[:length])


@pytest.mark.parametrize("name", ["user_encoder__onnx", "item_table__npz", "golden__npz", "manifest__json"])
def test_a_missing_or_replaced_file_is_refused(name):
    for content in (None, b"other"):
        with pytest.raises(CorruptBundleError):
            unpack(repacked(**{name: content}))


@pytest.mark.parametrize(
    "fault",
    [
        {"item_keys": np.array([3, 2, 1], np.uint64)},
        {"item_keys": np.array([1, 1, 2], np.uint64)},
        {"item_keys": np.array([1, 2, 3], np.int64)},
        {"item_keys": np.array([1, 2], np.uint64)},
        {"item_vectors": np.zeros((3, 5), np.float32)},
        {"item_vectors": np.full((3, 4), np.nan, np.float32)},
        {"item_biases": np.full(3, np.inf, np.float32)},
    ],
)
def test_an_item_table_that_does_not_fit_is_refused(fault):
    packed, _ = pack(replace(bundle(), **fault))
    with pytest.raises(CorruptBundleError, match="item"):
        unpack(packed)
