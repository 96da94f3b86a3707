"""What is told of the answers of two models."""

from services.trainer.registry.click_through import ClickThrough, click_through, click_through_sentence

SHOWN = {"t1": "new", "t2": "new", "t3": "old", "t4": "old", "t5": "other"}


def test_an_answer_counts_once_for_the_model_that_gave_it_however_many_events_it_led_to():
    found = click_through(SHOWN, ["t1", "t1", "t3", "t4"])
    assert found == {"new": ClickThrough(2, 1), "old": ClickThrough(2, 2), "other": ClickThrough(1, 0)}


def test_tokens_that_nobody_was_shown_count_for_nobody():
    assert click_through({"t1": "new"}, ["elsewhere"]) == {"new": ClickThrough(1, 0)}


def test_both_shares_are_told_with_what_they_stand_on():
    sentence = click_through_sentence(click_through(SHOWN, ["t1", "t3", "t4"]), "new", "old")
    assert sentence == "of its answers 50.0% of 2 led to an event, of the predecessor's 100.0% of 2"


def test_of_one_model_alone_nothing_is_told():
    assert click_through_sentence(click_through(SHOWN, []), "new", "never served") == ""
