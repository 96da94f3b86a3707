"""What a model card says, and that it says the same of the same run."""

from dataclasses import replace

import pytest

from services.trainer.cards.card_figures import Row, Standings, standings
from services.trainer.cards.card_writing import CardWriter, lessons_of
from services.trainer.cards.curves import curves_png
from services.trainer.cards.model_card import CardFacts, Lesson, model_card
from services.trainer.judging.judging import judge_candidate
from services.trainer.model.answering.evaluation import CaseOptions, leave_one_out
from services.trainer.model.fitting.plan import Progress
from services.trainer.model.mixing.mixture import MixedModel, learn_experts
from services.trainer.model.protocols.intervals import Estimate
from services.trainer.model.sequences import EventRoles
from services.trainer.policies.gate import Decision, Evidence
from shared.domain.models.mixture import Mixture
from tests.unit.trainer.builders import VIEW, random_model, walks
from tests.unit.trainer_service.builders import JOB

SOME = Estimate(0.2, 0.1, 0.3)
ROLES = EventRoles()
LESSONS = [Lesson("first", [(20, 3.0), (40, 2.5)], False), Lesson("second", [(60, 2.25)], False)]


def row(name: str, low: float, high: float, baseline: bool = True) -> Row:
    return Row(name, baseline, SOME, SOME, SOME, Estimate((low + high) / 2, low, high))


def standing(*rows: Row, **fields) -> Standings:
    return Standings(40, 10, (Row("this model", False, SOME, SOME, SOME), *rows), **fields)


FACTS = CardFacts(
    encoder="transformer",
    shape={"d_model": 64, "heads": 2},
    parameters=12_345,
    log_from=1,
    log_to=1_000,
    learned={"events": 900, "users": 40, "items": 60},
    settings={"seed": 3, "code revision": "r1"},
    lessons=LESSONS,
    standings=standing(row("popular", 0.05, 0.15)),
    decision=Decision(True, "a first model, better than most popular"),
)


def test_the_card_tells_what_the_model_is_and_what_it_learned():
    card = model_card(FACTS)
    for words in (
        "encoder transformer",
        "d_model 64, heads 2; 12,345 parameters",
        "| log positions | 1 to 1,000 |",
        "| items | 60 |",
        "| seed | 3 |",
        "| code revision | r1 |",
        "Promoted: a first model, better than most popular.",
        "`erasure_receipt_ids`",
    ):
        assert words in card


def test_every_figure_has_its_interval():
    assert "| popular (baseline) | 0.2000 [0.1000, 0.3000] |" in model_card(FACTS)
    assert "| +0.1000 [+0.0500, +0.1500] |" in model_card(FACTS)


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (0.01, 0.02, "- It beats popular."),
        (-0.01, 0.02, "- **It does not clearly beat popular**"),
        (0.0, 0.02, "- **It does not clearly beat popular**"),
        (-0.02, -0.01, "- **It does worse than popular.**"),
    ],
)
def test_the_card_says_whether_the_model_beats_a_baseline(low, high, verdict):
    assert verdict in model_card(replace(FACTS, standings=standing(row("popular", low, high))))


def test_the_card_says_nothing_of_a_lead_by_a_few_users():
    few = replace(standing(row("popular", 0.01, 0.02)), users=5)
    found = model_card(replace(FACTS, standings=few))
    assert "- **It does not clearly beat popular**: 5 users are too few to tell." in found


def test_a_baseline_that_was_left_out_is_named_with_the_reason():
    facts = replace(FACTS, standings=standing(left_out=("ease: 9 items are more than 8",)))
    assert "- Not compared with ease: 9 items are more than 8." in model_card(facts)


def test_a_model_that_nothing_could_judge_says_so():
    assert "Not judged: there was no later traffic" in model_card(replace(FACTS, standings=Standings(0, 10)))


def test_the_training_curve_is_told_by_step():
    card = model_card(FACTS)
    assert "| first | 20 | 3.0000 |\n| first | 40 | 2.5000 |\n| second | 60 | 2.2500 |" in card


def test_of_a_long_curve_a_few_points_are_told_with_both_ends():
    long = Lesson("first", [(step, 1.0) for step in range(1, 1001)], True)
    card = model_card(replace(FACTS, lessons=[long]))
    assert card.count("| first |") == 12
    assert "| first | 1 |" in card and "| first | 1,000 |" in card
    assert "The time allowed has shortened: first." in card


def test_the_same_lessons_give_the_same_picture_with_nothing_of_the_machine_in_it():
    picture = curves_png(LESSONS)
    assert picture.startswith(b"\x89PNG") and picture == curves_png(LESSONS)
    assert b"Software" not in picture and b"tIME" not in picture


def test_steps_are_counted_through_both_lessons():
    progress = [Progress(step, 40, loss, 1.0, 1.0) for step, loss in ((20, 3.0), (40, 2.0))]
    model = replace(random_model(), curve=tuple(progress))
    assert [each.curve for each in lessons_of(model, model)] == [
        [(20, 3.0), (40, 2.0)],
        [(60, 3.0), (80, 2.0)],
    ]


@pytest.fixture(scope="module")
def held():
    return leave_one_out(walks(n_items=12), CaseOptions(history_length=8))


@pytest.fixture(scope="module")
def mixed() -> MixedModel:
    model = random_model(n_items=12)
    experts = learn_experts(walks(n_items=12), model.item_keys, ROLES)
    return MixedModel(model, experts, Mixture(0.0, event_types=(VIEW,)))


@pytest.fixture(scope="module")
def verdict(mixed, held):
    return judge_candidate(mixed, held, ROLES, JOB)


@pytest.fixture(scope="module")
def stood(held, verdict) -> Standings:
    return standings(held, verdict.judged, ROLES)


def test_the_candidate_comes_first_and_every_baseline_behind(stood):
    assert [each.name for each in stood.rows] == [
        "this model", "ease", "popular", "recently-popular", "rules",
    ]  # fmt: skip
    assert [each.baseline for each in stood.rows] == [False, True, True, True, True]


def test_the_figures_are_those_of_the_gate(stood, verdict):
    assert stood.rows[0].ndcg.value == pytest.approx(verdict.evidence.candidate)
    popular = next(each for each in stood.rows if each.name == "popular")
    assert popular.lead.value == pytest.approx(verdict.evidence.difference)


def test_a_model_that_has_learned_nothing_does_worse_than_rules(stood):
    rules = next(each for each in stood.rows if each.name == "rules")
    assert rules.lead.high < 0.0


def test_without_questions_there_are_no_rows():
    held = leave_one_out(walks(length=1))
    assert standings(held, {}, ROLES) == Standings(0, 10)


@pytest.fixture
def documents(mixed, stood):
    """Writes the documents of a run once more: (card, picture)."""

    def write(evidence: Evidence, continued_from: str = "") -> tuple[str, bytes]:
        card = CardWriter(JOB, walks(n_items=12), stood, evidence)
        written = card.documents(mixed, LESSONS, continued_from)
        return written["model_card.md"].decode(), written["curves.png"]

    return write


def test_the_same_run_writes_the_same_documents(documents, verdict):
    assert documents(verdict.evidence) == documents(verdict.evidence)
    card, _ = documents(verdict.evidence)
    for words in ("| events | 240 |", "| users | 30 |", "| items | 12 |", "| code revision | r1 |"):
        assert words in card


def test_the_card_says_what_the_gate_says(documents):
    assert "Not promoted: too little traffic" in documents(Evidence(3))[0]


def test_the_card_names_the_model_that_training_went_on_from(documents):
    assert "| trained on from | c0ffee |" in documents(Evidence(3), "c0ffee")[0]
    assert "| trained on from | nothing |" in documents(Evidence(3))[0]
