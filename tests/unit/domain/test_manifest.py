"""The manifest as bytes, and which ones are refused."""

from __future__ import annotations

import json

import pytest

from shared.domain.manifest import Manifest, ManifestError, model_version
from tests.builders import manifest


def changed(**fields) -> bytes:
    return json.dumps({**json.loads(manifest().to_json()), **fields}).encode()


def test_a_manifest_comes_back_as_it_was():
    assert Manifest.from_json(manifest().to_json()) == manifest()


def test_a_field_of_a_later_version_is_passed_over():
    assert Manifest.from_json(changed(flavour="sweet")) == manifest()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b"\xff", changed(format=2), changed(tensors=3)]
)
def test_what_is_no_manifest_is_refused(content):
    with pytest.raises(ManifestError):
        Manifest.from_json(content)


def test_a_missing_tensor_is_named():
    tensors = {k: v for k, v in json.loads(manifest().to_json())["tensors"].items() if k != "mask"}
    with pytest.raises(ManifestError, match="mask"):
        Manifest.from_json(changed(tensors=tensors))


def test_an_empty_item_table_is_refused():
    with pytest.raises(ManifestError, match="empty item table"):
        Manifest.from_json(changed(item_count=0))


def test_the_version_is_the_start_of_the_digest():
    assert model_version("ab" * 32) == "ab" * 8
