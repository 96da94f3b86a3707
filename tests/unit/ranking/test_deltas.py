"""Deltas change the model in service in place; requests that are under way notice nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from services.ranking.model import handover
from services.ranking.model.delta_watch import DeltaWatch
from services.ranking.model.model_slot import DeltaProgress, ModelSlot
from services.ranking.model.scorer import Scorer
from shared.adapters.codecs.bundle import pack
from shared.adapters.codecs.keys import item_key, item_keys
from shared.adapters.jetstream.deltas import encode_delta
from shared.adapters.jetstream.log_reader import LogMessage
from shared.domain.models.delta import Chain, Delta, DeltaRefusedError
from shared.domain.models.item_rules import ItemRules
from shared.domain.models.mixture import Experts, Mixture
from tests.builders import catalogue_item
from tests.unit.ranking.model import catalogue, sum_bundle

FIRES = 3
WHEN = datetime(2025, 1, 1, tzinfo=UTC)


NO_ROWS = {"item_keys": item_keys([]), "vectors": np.empty((0, 4), np.float32), "biases": np.empty(0, "f4")}


def scorer(number: float = 0.0) -> Scorer:
    """Of a model with rules that know nothing; each number is another version."""
    made = sum_bundle()
    rules = ItemRules.of_rows(np.zeros(5, np.int64), np.empty(0), np.empty(0), np.full(4, 1, np.float32))
    manifest = replace(made.manifest, mixture=Mixture(1.0, 1.0, (FIRES,)), log_to=1)
    biases = np.full(4, number, np.float32)
    return Scorer(pack(replace(made, manifest=manifest, experts=Experts(rules), item_biases=biases))[1])


def delta(version: str = "", sequence: int = 1, digest: bytes = b"", **fields) -> Delta:
    """Item "n" is new, and came behind item "a"."""
    defaults = {
        "item_keys": item_keys(["n"]),
        "vectors": np.full((1, 4), 2, np.float32),
        "biases": np.array([0.5], np.float32),
        "rule_keys": item_keys(["a"]),
        "follower_keys": item_keys(["n"]),
        "counts": np.ones(1, np.float32),
    }
    return Delta(version, sequence, 10, **{**defaults, **fields}).sealed(digest)


def scores(held: Scorer, item: str) -> list[float]:
    """What a user who has just had `item` is shown, by row."""
    rows = held.rows(item_keys([item]))[None]
    found = held.scores(held.user_vectors(rows, np.full_like(rows, FIRES), np.zeros(rows.shape)))
    held.add_rules(found, rows, np.full_like(rows, FIRES))
    return found[0].tolist()


def test_a_new_item_is_scored_by_its_row_and_by_rules():
    after = scorer().learned(delta())
    assert scores(after, "a")[-1] == pytest.approx(2.5 + np.log1p(0.5))
    assert scores(after, "n")[-1] == pytest.approx(4 * 2 * 2 + 0.5)


def test_the_first_new_items_are_taken_without_a_copy_of_the_table():
    held = scorer()
    after = held.learned(delta())
    assert np.shares_memory(after._table.columns, held._table.columns)
    assert np.shares_memory(after._experts.sequence.count, held._experts.sequence.count)


def test_a_scorer_that_was_handed_over_learns_as_it_would_have():
    with handover.shared_file() as file:
        arrived = handover.read(file, handover.write(file, scorer())).value
    after, expected = arrived.learned(delta()), scorer().learned(delta())
    assert np.shares_memory(after._table.columns, arrived._table.columns)
    assert [scores(after, item) for item in "an"] == [scores(expected, item) for item in "an"]


def test_who_holds_the_scorer_of_before_sees_its_items_only():
    held = scorer()
    before = scores(held, "a")
    after = held.learned(delta())
    assert (scores(held, "a"), len(after.item_keys)) == (before, 5)


def test_rules_between_items_that_are_there_change_the_scorer_in_place():
    held = scorer()
    assert held.learned(delta(**NO_ROWS, follower_keys=item_keys(["b"]))) is held
    assert scores(held, "a")[held.rows(item_keys(["b"]))[0]] == pytest.approx(np.log1p(0.5))


def test_rules_about_unknown_items_change_nothing():
    held = scorer()
    with pytest.raises(DeltaRefusedError, match="1 of its rules"):
        held.learned(delta(rule_keys=item_keys(["nowhere"])))
    assert len(held.item_keys) == 4 and held.rows(item_keys(["n"])).tolist() == [-1]


def test_a_model_without_rules_takes_new_items():
    assert len(Scorer(sum_bundle()).learned(delta()).item_keys) == 5


async def served() -> tuple[ModelSlot, Chain]:
    slot = ModelSlot(catalogue((*"abcd", "n")))
    await slot.swap(scorer(), WHEN)
    return slot, Chain(slot.current.version)


def messages(*deltas: Delta) -> list[LogMessage]:
    return [LogMessage(at, "", encode_delta(each), 0) for at, each in enumerate(deltas, 1)]


async def test_new_items_become_recommendable_and_the_progress_is_told():
    slot, chain = await served()
    await DeltaWatch(slot).apply(chain, messages(delta(slot.current.version)))
    assert (slot.current.recommendable, slot.swap_count) == (5, 1)
    assert slot.deltas == DeltaProgress(1, 10)


async def test_of_new_items_the_catalogue_is_asked_at_once_and_of_the_others_with_the_next_look():
    known = catalogue((*"abcd", "n"))
    slot = ModelSlot(known)
    await slot.swap(scorer(), WHEN)
    for gone in "bn":
        known.put(catalogue_item(gone, delete_time=Timestamp(seconds=1)).SerializeToString(), 6)
    slot.renew(slot.current.scorer.learned(delta()), DeltaProgress(1, 10))
    assert recommendable(slot) == set("abcd")
    await slot.refresh()
    assert recommendable(slot) == set("acd")


def recommendable(slot: ModelSlot) -> set[str]:
    keys = slot.current.scorer.item_keys[slot.current.withheld == 0]
    return {item for item in "abcdn" if item_key(item) in keys}


async def test_a_delta_that_is_missing_is_told_and_the_model_serves_on():
    slot, chain = await served()
    second = delta(slot.current.version, 2, b"the first")
    await DeltaWatch(slot).apply(chain, messages(second))
    assert slot.current.recommendable == 4
    assert slot.deltas == DeltaProgress(0, 0, "delta 2 does not follow 0")


async def test_a_first_delta_behind_others_makes_the_model_outdated():
    slot, chain = await served()
    first = delta(slot.current.version)
    second = delta(slot.current.version, 2, first.digest, **NO_ROWS)
    await DeltaWatch(slot).apply(chain, messages(first, second))
    assert not slot.outdated.is_set()
    anew = delta(slot.current.version, biases=np.array([0.25], np.float32))
    await DeltaWatch(slot).apply(chain, messages(anew))
    assert slot.outdated.is_set() and slot.deltas.sequence == 2


@pytest.mark.parametrize("fault", [{"to_position": 99}, {"model_version": "other"}, {"sequence": 2}])
async def test_what_is_no_intact_first_delta_does_not(fault):
    slot, chain = await served()
    first = delta(slot.current.version)
    await DeltaWatch(slot).apply(chain, messages(first, replace(first, **fault)))
    assert slot.deltas.refused_reason and not slot.outdated.is_set()


async def test_of_two_first_deltas_that_a_stream_holds_the_second_makes_the_model_outdated_once():
    slot, _ = await served()
    watch, both = DeltaWatch(slot), messages(*[delta(slot.current.version)] * 2)
    await watch.apply(Chain(slot.current.version), both)
    assert slot.outdated.is_set()
    await slot.swap(scorer(), WHEN)
    await watch.apply(Chain(slot.current.version), both)
    assert not slot.outdated.is_set()


async def test_a_model_that_was_loaded_anew_meanwhile_does_not_give_way_to_the_one_before():
    slot, chain = await served()
    applying = asyncio.create_task(DeltaWatch(slot).apply(chain, messages(delta(slot.current.version))))
    await asyncio.sleep(0)
    slot.current = replace(slot.current, scorer=(fresh := scorer()))
    await applying
    assert slot.current.scorer is fresh and slot.deltas == DeltaProgress()


async def test_of_all_that_do_not_fit_one_behind_the_other_the_first_is_logged():
    slot, chain = await served()
    late = [delta(slot.current.version, sequence) for sequence in range(2, 7)]
    with capture_logs() as logs:
        for each in (late[:3], late[3:], [delta(slot.current.version)], late[1:3]):
            await DeltaWatch(slot).apply(chain, messages(*each))
    told = [log["reason"] for log in logs if log["event"] == "delta refused"]
    assert told == ["delta 2 does not follow 0", "delta 3 does not follow 1"]


async def test_a_delta_that_comes_behind_a_refused_one_and_fits_is_applied():
    slot, chain = await served()
    good = delta(slot.current.version)
    await DeltaWatch(slot).apply(chain, messages(replace(good, to_position=99), good))
    assert slot.deltas == DeltaProgress(1, 10)


async def test_deltas_of_a_model_that_serves_no_more_are_left():
    slot, chain = await served()
    old = delta(slot.current.version)
    await slot.swap(scorer(number=1.0), WHEN)
    await DeltaWatch(slot).apply(chain, messages(old))
    assert (slot.current.recommendable, slot.deltas) == (4, DeltaProgress())
