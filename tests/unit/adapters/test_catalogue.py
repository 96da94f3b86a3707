"""The catalogue in memory: ids outlive deletion, recommendations do not name what is deleted."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from shared.adapters.codecs.keys import item_key
from shared.adapters.jetstream.catalogue import Catalogue
from tests.builders import catalogue_item

DELETED = Timestamp(seconds=1)
LATER = Timestamp(seconds=4_102_444_800)


def catalogue(*items) -> Catalogue:
    made = Catalogue()
    for position, item in enumerate(items, 1):
        made.put(item.SerializeToString(), position)
    return made


def test_a_deleted_item_keeps_its_id_and_is_not_recommended():
    made = catalogue(catalogue_item("a"), catalogue_item("b"), catalogue_item("a", delete_time=DELETED))
    assert made.id_of(item_key("a")) == "a"
    assert not made.may_be_recommended(item_key("a"))
    assert [item_id for _, item_id in made.entries()] == ["b"]


def test_an_item_that_is_written_again_is_recommended_again():
    made = catalogue(catalogue_item("a"), catalogue_item("a", delete_time=DELETED), catalogue_item("a"))
    assert made.may_be_recommended(item_key("a"))
    assert [item_id for _, item_id in made.entries()] == ["a"]


def test_an_item_is_recommended_from_when_it_can_be_had():
    made = catalogue(catalogue_item("a", available_time=LATER), catalogue_item("b", available_time=DELETED))
    assert [item_id for _, item_id in made.entries()] == ["b"]
    version = made.version
    made.admit(LATER.seconds * 1000 - 1)
    assert (made.may_be_recommended(item_key("a")), made.version) == (False, version)
    made.admit(LATER.seconds * 1000)
    assert (made.may_be_recommended(item_key("a")), made.version) == (True, version + 1)


def test_an_item_that_was_deleted_before_it_could_be_had_stays_so():
    made = catalogue(catalogue_item("a", available_time=LATER))
    made.put(catalogue_item("a", available_time=LATER, delete_time=DELETED).SerializeToString(), 2)
    made.admit(LATER.seconds * 1000)
    assert not made.may_be_recommended(item_key("a"))


def test_what_was_never_written_is_not_recommended():
    assert not catalogue().may_be_recommended(item_key("a"))


def test_all_items_can_be_had_at_once_however_many_there_are():
    made = Catalogue()
    for position in range(1, 3_001):
        made.put(catalogue_item(f"i{position}").SerializeToString(), position)
    known = made.known()
    assert known.keys.tolist() == [item_key(f"i{number}") for number in range(1, 3_001)]
    assert (known.version, known.allowed.all()) == (3_000, True)


def test_what_was_had_stays_as_it_was():
    made = catalogue()
    known = made.known()
    made.put(catalogue_item("z").SerializeToString(), 9)
    assert len(made.known().keys) == len(known.keys) + 1


def test_items_that_come_while_all_are_gone_through_disturb_nobody():
    made = catalogue(catalogue_item("a"), catalogue_item("b"))
    entries = iter(made.entries())
    first = next(entries)
    made.put(catalogue_item("c").SerializeToString(), 3)
    assert [first, *entries] == [(item_key("a"), "a"), (item_key("b"), "b")]
