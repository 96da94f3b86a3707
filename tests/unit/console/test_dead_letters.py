"""The commands about dead letters and items, against a stand-in of the services."""

import pytest

from freshet.catalog.v1.item_pb2 import Item
from freshet.ingestion.v1.ingestion_pb2 import DeadLetter, Violation
from tests.unit.console.conftest import document, freshet


def letter(letter_id: str, reason: str, payload: bytes = b"{}") -> DeadLetter:
    violation = Violation(field="event_type", description="is wrong", reason=reason)
    return DeadLetter(dead_letter_id=letter_id, payload=payload, violations=[violation])


@pytest.fixture
def letters(services):
    services.letters = [letter("9", "UNKNOWN_EVENT_TYPE", b"\xff[bold]\x1b"), letter("8", "REQUIRED")]
    return services


def test_letters_are_listed_with_what_is_wrong(letters):
    listed = document(freshet("dead-letters", "list", "--json"))["dead_letters"]
    assert [each["dead_letter_id"] for each in listed] == ["9", "8"]
    assert listed[0]["violations"][0]["reason"] == "UNKNOWN_EVENT_TYPE"
    assert (listed[0]["text"], listed[0]["redrives"]) == ("\\xff[bold]\\x1b", [])


def test_what_a_letter_holds_cannot_disturb_the_terminal(letters):
    result = freshet("dead-letters", "list")
    assert result.exit_code == 0
    assert "[bold]" in result.stdout
    assert "\x1b" not in result.stdout


def test_letters_are_listed_by_reason_and_page_after_page(letters):
    assert [each["dead_letter_id"] for each in listed("--reason", "REQUIRED")] == ["8"]
    letters.letters = [letter(str(number), "REQUIRED") for number in range(700)]
    assert len(listed("--limit", 600)) == 600


def listed(*arguments):
    return document(freshet("dead-letters", "list", "--json", *arguments))["dead_letters"]


def test_letters_are_sent_again_as_they_came(letters):
    redrives = document(freshet("dead-letters", "redrive", "9", "8", "--json"))["redrives"]
    assert [(each["dead_letter_id"], each["status"]) for each in redrives] == [
        ("9", "accepted"),
        ("8", "accepted"),
    ]
    assert not any(each.HasField("corrected_event") for each in letters.redrives)


def test_a_corrected_event_is_sent_as_it_is(letters, tmp_path):
    file = tmp_path / "event.json"
    file.write_text('{"eventType": "click", "userId": "u1", "items": [{"itemId": "i1"}]}')
    assert freshet("dead-letters", "redrive", "9", "--corrected", file).exit_code == 0
    event = letters.redrives[0].corrected_event
    assert (event.event_type, event.event_id) == ("click", "")


def test_a_letter_refused_again_ends_with_1_and_says_why(letters):
    result = freshet("dead-letters", "redrive", "9", "77")
    assert result.exit_code == 1
    assert "dead_letter_id: is none" in result.stdout
    assert "1 of 2 dead letters failed: 1 rejected" in result.stderr


def test_a_correction_that_is_no_event_is_named(letters, tmp_path):
    file = tmp_path / "event.json"
    file.write_text('{"userName": 1}')
    result = freshet("dead-letters", "redrive", "9", "--corrected", file)
    assert result.exit_code == 1
    assert "event.json holds no event in JSON" in result.stderr


def test_one_correction_for_two_letters_is_wrong_usage(letters, tmp_path):
    file = tmp_path / "event.json"
    file.write_text("{}")
    assert freshet("dead-letters", "redrive", "9", "8", "--corrected", file).exit_code == 2


def test_items_are_deleted_and_unknown_ones_named(services):
    services.items = [Item(item_id="a")]
    outcomes = document(freshet("items", "delete", "a", "b", "--json"))["items"]
    assert [(each["id"], each["status"]) for each in outcomes] == [("a", "accepted"), ("b", "duplicate")]
    assert "not in the catalogue" in freshet("items", "delete", "b").stdout
