"""To whom a rollback returns."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.models.promotions import Cause, Promotion, predecessors, rolled_back

DAY = datetime(2025, 1, 1, tzinfo=UTC)


def history(*steps: str) -> list[Promotion]:
    """Decisions: "a" promotes a; "<a" is a rollback that returns to a."""
    decisions: list[Promotion] = []
    for step in steps:
        cause = Cause.ROLLBACK if step.startswith("<") else Cause.REQUEST
        displaced = decisions[-1].model_version if decisions else ""
        decisions.append(Promotion(step.removeprefix("<"), cause, "told", displaced, DAY))
    return decisions


def test_without_decisions_there_is_nobody_to_return_to():
    assert predecessors([]) == []


def test_a_first_champion_has_no_predecessor():
    assert predecessors(history("a")) == []


def test_the_champion_before_comes_first_and_older_ones_behind():
    assert predecessors(history("a", "b", "c")) == ["b", "a"]


def test_a_second_rollback_goes_further_back_not_forth():
    assert predecessors(history("a", "b", "c", "<b")) == ["a"]


def test_a_model_that_was_rolled_back_is_passed_over_until_it_is_promoted_anew():
    assert predecessors(history("a", "b", "<a", "c")) == ["a"]
    assert predecessors(history("a", "b", "<a", "b", "c")) == ["b", "a"]


def test_a_model_that_reigned_twice_and_was_rolled_back_is_passed_over_in_its_first_reign_too():
    assert predecessors(history("a", "b", "a", "<b")) == []


def test_a_rollback_that_goes_past_models_takes_their_reigns_along():
    assert predecessors(history("a", "b", "c", "<a")) == []


def test_what_was_rolled_back_is_known_until_it_is_promoted_anew():
    assert rolled_back(history("a", "b", "<a")) == {"b"}
    assert rolled_back(history("a", "b", "<a", "b")) == frozenset()


def test_an_automatic_rollback_counts_as_one():
    decisions = [*history("a", "b"), Promotion("a", Cause.AUTOMATIC_ROLLBACK, "worse", "b", DAY)]
    assert rolled_back(decisions) == {"b"}


@given(st.lists(st.sampled_from("abcd"), max_size=12))
def test_rollbacks_come_to_an_end_and_never_return_to_anyone_twice(promoted):
    decisions, returned = history(*promoted), []
    while to := predecessors(decisions):
        champion = decisions[-1].model_version
        decisions.append(Promotion(to[0], Cause.ROLLBACK, "", champion, DAY))
        assert to[0] not in rolled_back(decisions)
        returned.append(to[0])
    assert len(returned) == len(set(returned))
