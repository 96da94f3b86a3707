"""The manifest as bytes, and which ones are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.domain.models.manifest import Manifest, ManifestError, Tensor, model_version
from shared.domain.presets.behaviours import RANKER_INPUTS, RANKER_OUTPUT, SHOWN, Behaviours
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


BEHAVIOURS = Behaviours(("click", "purchase"), SHOWN, 86_400.0)


def with_ranker(behaviours=BEHAVIOURS, tensors=(*RANKER_INPUTS, RANKER_OUTPUT)) -> Manifest:
    declared = {name: Tensor("float32", (-1, -1)) for name in tensors}
    return manifest(behaviours=behaviours, tensors={**manifest().tensors, **declared})


def test_behaviours_come_back_as_they_were():
    assert Manifest.from_json(with_ranker().to_json()).behaviours == BEHAVIOURS


def test_a_manifest_from_before_there_were_behaviours_has_none():
    old = json.loads(manifest().to_json())
    del old["behaviours"]
    assert Manifest.from_json(json.dumps(old).encode()).behaviours is None


def test_behaviours_without_a_tensor_of_their_ranker_are_refused():
    with pytest.raises(ManifestError, match="rule_score"):
        Manifest.from_json(with_ranker(tensors=[*RANKER_INPUTS[:3], RANKER_OUTPUT]).to_json())


@pytest.mark.parametrize(
    "fault, reason",
    [({"objectives": ()}, "one or more"), ({"objectives": ("click", "click")}, "each once"),
     ({"given": "guessed"}, "'guessed'")],
)  # fmt: skip
def test_behaviours_without_a_meaning_are_refused(fault, reason):
    with pytest.raises(ManifestError, match=reason):
        Manifest.from_json(with_ranker(replace(BEHAVIOURS, **fault)).to_json())


def test_an_empty_item_table_is_refused():
    with pytest.raises(ManifestError, match="empty item table"):
        Manifest.from_json(changed(item_count=0))


def test_the_version_is_the_start_of_the_digest():
    assert model_version("ab" * 32) == "ab" * 8
