"""The past of the shop."""

from datetime import UTC, datetime, timedelta

from deploy.local.shop.catalogue import make_catalogue
from deploy.local.shop.history import past_behaviours
from deploy.local.shop.shopper import make_shoppers

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CATALOGUE = make_catalogue(1, 100)


def past(count: int, seed: int = 1):
    """A past of so many behaviours."""
    return list(past_behaviours(make_shoppers(seed, 20), CATALOGUE, seed, count, NOW))


def test_the_past_has_exactly_as_many_events_as_asked_for():
    assert [len(past(count)) for count in (0, 1, 7, 500)] == [0, 1, 7, 500]


def test_the_past_lies_in_the_two_weeks_before_now():
    times = [each.time for each in past(500)]
    assert min(times) >= NOW - timedelta(days=14)
    assert max(times) <= NOW


def test_the_events_of_one_shopper_are_in_the_order_of_their_time():
    newest: dict[str, datetime] = {}
    for each in past(2_000):
        assert each.time >= newest.get(each.shopper.user_id, each.time)
        newest[each.shopper.user_id] = each.time


def test_the_same_seed_has_the_same_past():
    assert [each.behaviour for each in past(200)] == [each.behaviour for each in past(200)]
