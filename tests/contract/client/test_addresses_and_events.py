"""Where the SDK looks for services, and the events it builds."""

from datetime import UTC, datetime

import pytest

from freshet.event.v1.event_pb2 import EventItem
from shared.client import Addresses, user_event


def test_addresses_default_to_the_documented_ports(monkeypatch):
    monkeypatch.delenv("FRESHET_RANKING_ADDRESS", raising=False)
    assert Addresses().ranking == "127.0.0.1:50053"


def test_the_environment_moves_a_service_and_an_argument_wins(monkeypatch):
    monkeypatch.setenv("FRESHET_RANKING_ADDRESS", "ranking:1")
    assert Addresses().of("ranking") == "ranking:1"
    assert Addresses(ranking="here:2").of("ranking") == "here:2"


@pytest.mark.parametrize(
    "value, address",
    [
        ("", "127.0.0.1:50053"),
        (" ", "127.0.0.1:50053"),
        (",", "127.0.0.1:50053"),
        (" ,a:1 ", "a:1"),
        ("a:1,", "a:1"),
    ],
)
def test_a_variable_that_names_no_address_moves_nothing(monkeypatch, value, address):
    monkeypatch.setenv("FRESHET_RANKING_ADDRESS", value)
    assert Addresses().ranking == address


def test_an_unknown_service_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'rankin'.*ingestion, feature, ranking, trainer"):
        Addresses().of("rankin")


def test_an_event_takes_ids_and_items():
    event = user_event("view-item-list", "u", ["a", EventItem(item_id="b", position=2)])
    assert [(item.item_id, item.position) for item in event.items] == [("a", 0), ("b", 2)]
    assert event.event_id


def test_an_event_time_keeps_its_moment():
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert user_event("click", "u", ["a"], event_time=moment).event_time.ToDatetime(UTC) == moment


def test_an_event_time_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        user_event("click", "u", ["a"], event_time=datetime(2026, 3, 1))


def test_an_empty_address_is_refused():
    with pytest.raises(ValueError, match="ranking must not be empty: give host:port"):
        Addresses(ranking="")
