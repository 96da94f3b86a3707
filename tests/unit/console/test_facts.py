"""Events and items of a data set, and what is kept back."""

from dataclasses import replace
from datetime import UTC, datetime

from services.console.datasets.dataset import Dataset, DatasetItem, Interaction
from services.console.datasets.facts import (
    catalogue_of,
    event_id,
    event_of,
    item_of,
    leave_one_out,
    side_by_side,
)

RATED = Interaction("u", "7", 874724710.0, 4.0)


def test_a_rating_becomes_a_rate_event_at_its_own_time():
    event = event_of(RATED, "films")
    assert (event.event_type, event.user_id) == ("rate", "u")
    assert (event.items[0].item_id, event.items[0].value) == ("7", 4.0)
    assert event.event_time.ToDatetime(UTC) == datetime.fromtimestamp(874724710, UTC)


def test_the_event_id_follows_from_the_content():
    assert event_id(RATED, "films") == "films-u-7-874724710"
    assert event_id(replace(RATED, timestamp=0.5), "films") == "films-u-7-0.5"


def test_an_id_that_would_be_too_long_or_not_ascii_is_a_digest():
    ids = {event_id(replace(RATED, user=user), "films") for user in ("x" * 200, "x" * 201, "zoë", "a b")}
    assert len(ids) == 4
    assert all(len(each) <= 128 and each.isascii() and " " not in each for each in ids)


def test_an_item_keeps_title_and_genres():
    item = item_of(DatasetItem("1", "Toy Story", ("Animation", "Comedy")))
    assert (item.item_id, item.title, list(item.categories)) == ("1", "Toy Story", ["Animation", "Comedy"])


def test_an_item_that_was_rated_without_standing_in_the_catalogue_is_added_bare():
    dataset = Dataset("films", [DatasetItem("1", "Toy Story", ())], [RATED, RATED])
    assert [item.item for item in catalogue_of(dataset)] == ["1", "7"]


def test_leave_one_out_keeps_back_the_latest_of_each_user_and_the_order_of_the_rest():
    rows = [
        Interaction(user, item, time, 1.0)
        for user, item, time in (("u", "a", 3), ("v", "b", 1), ("u", "c", 2))
    ]
    kept, held_out = leave_one_out(rows)
    assert [row.item for row in kept] == ["c"]
    assert {user: row.item for user, row in held_out.items()} == {"u": "a", "v": "b"}


def test_side_by_side_keeps_each_users_order_and_ends_with_every_users_newest():
    rows = [Interaction(user, item, 0.0, 1.0) for user, item in ("ua", "ub", "uc", "ud", "va", "vb")]
    mixed = side_by_side(rows)
    assert [row.item for row in mixed if row.user == "u"] == ["a", "b", "c", "d"]
    assert [row.item for row in mixed if row.user == "v"] == ["a", "b"]
    assert {(row.user, row.item) for row in mixed[-2:]} == {("u", "d"), ("v", "b")}


def test_side_by_side_orders_each_users_by_time_and_those_of_one_time_as_in_the_file():
    rows = [Interaction("u", item, time, 1.0) for item, time in (("d", 3), ("b", 2), ("a", 1), ("c", 2))]
    assert [row.item for row in side_by_side(rows)] == ["a", "b", "c", "d"]


def test_of_equally_late_ones_the_last_in_the_file_is_kept_back():
    rows = [Interaction("u", item, 5.0, 1.0) for item in "abc"]
    kept, held_out = leave_one_out(rows)
    assert ([row.item for row in kept], held_out["u"].item) == (["a", "b"], "c")
