"""What becomes champion, and what is said about it."""

from services.trainer.policies.gate import Evidence, decide

FIRST = Evidence(users=100, candidate=0.12, popular=0.08, recent=0.11, difference=0.04, low=0.01, high=0.07)
LATER = FIRST._replace(champion_version="c0ffee", champion=0.10, difference=0.02, low=0.005, high=0.035)
MIN_USERS = 30


def test_a_first_model_that_is_better_than_most_popular_is_promoted():
    decision = decide(FIRST, MIN_USERS)
    assert decision.promoted
    assert decision.reason == (
        "a first model, better than most popular: NDCG@10 0.1200 against 0.0800 on 100 users, "
        "difference +0.0400, 95 % interval +0.0100 to +0.0700; most popular of late has 0.1100"
    )


def test_a_first_model_that_is_worse_than_most_popular_is_refused():
    decision = decide(FIRST._replace(candidate=0.07, difference=-0.01, low=-0.015, high=-0.005), MIN_USERS)
    assert not decision.promoted
    assert decision.reason.startswith("a first model, worse than most popular: NDCG@10 0.0700 against 0.0800")


def test_a_first_model_of_which_too_few_can_tell_is_promoted_and_the_reason_says_so():
    decision = decide(FIRST._replace(low=-0.02), MIN_USERS)
    assert decision.promoted
    assert decision.reason.startswith("a first model, not worse for certain than most popular")


def test_a_first_model_that_too_few_users_judge_is_refused():
    decision = decide(FIRST._replace(users=29), MIN_USERS)
    assert decision == (
        False,
        "too little traffic later than its training to judge by: 29 users, 30 are needed",
    )


def test_a_later_model_whose_interval_lies_above_zero_is_promoted():
    decision = decide(LATER, MIN_USERS)
    assert decision.promoted
    assert decision.reason == (
        "better than champion c0ffee: NDCG@10 0.1200 against 0.1000 on 100 users, difference +0.0200, "
        "95 % interval +0.0050 to +0.0350"
    )


def test_a_later_model_whose_interval_holds_zero_is_refused():
    decision = decide(LATER._replace(low=-0.001), MIN_USERS)
    assert not decision.promoted
    assert decision.reason.startswith("not clearly better than champion c0ffee")


def test_an_interval_that_begins_at_zero_is_refused():
    assert not decide(LATER._replace(low=0.0), MIN_USERS).promoted


def test_a_later_model_that_is_worse_is_refused():
    decision = decide(LATER._replace(difference=-0.02, low=-0.03, high=-0.01), MIN_USERS)
    assert not decision.promoted
    assert decision.reason.startswith("worse than champion c0ffee")


def test_a_later_model_that_too_few_users_judge_is_refused():
    decision = decide(LATER._replace(users=3), MIN_USERS)
    assert decision == (
        False,
        "too little traffic later than both models' training to judge by: 3 users, 30 are needed",
    )


def test_beating_most_popular_does_not_help_against_a_champion():
    assert not decide(LATER._replace(candidate=0.5, popular=0.0, low=-0.001), MIN_USERS).promoted


def test_a_champion_that_cannot_be_read_leaves_most_popular_as_the_bar():
    decision = decide(FIRST._replace(champion_unreadable="c0ffee is not in the bundle store"), MIN_USERS)
    assert decision.promoted
    assert decision.reason.startswith("the champion cannot be read (c0ffee is not in the bundle store)")


def test_what_recommendations_had_prompted_is_told():
    reason = decide(LATER._replace(prompted_events=1200), MIN_USERS).reason
    assert reason.endswith("; 1,200 events that a recommendation may have prompted are not asked for")


def test_a_verdict_by_what_recommendations_had_prompted_says_whom_that_favours():
    reason = decide(FIRST._replace(prompted_events=1200, prompted_asked=True), MIN_USERS).reason
    assert "includes 1,200 events that a recommendation may have prompted, which favours the model" in reason
