"""`freshet models` as typed, against a stand-in of the trainer."""

import io
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from rich.console import Console

from freshet.trainer.v1 import trainer_pb2 as api
from services.console.models.model_board import board_of, lines_of
from services.console.models.model_tables import as_table, decisions, reasons
from services.console.standings import as_tables
from tests.unit.console.conftest import document, freshet

DAY = datetime(2025, 1, 2, 3, 4, tzinfo=UTC)
VERSION = "0123456789abcdef"


def model(**fields) -> api.Model:
    """A champion that a rollback has returned to."""
    promotions = [
        api.Promotion(
            cause=api.PROMOTION_CAUSE_AUTOMATIC_ROLLBACK, reason="worse", displaced_model_version="newer"
        ),
        api.Promotion(cause=api.PROMOTION_CAUSE_TRAINING, reason="a first model"),
    ]
    defaults = {"champion": True, "trained_to_position": 640, "metrics": {"ndcg@10": 0.25}}
    decision = api.GateDecision(promoted=True, reason="a first model")
    made = api.Model(
        **{"model_version": VERSION, "decision": decision, "promotions": promotions, **defaults, **fields}
    )
    made.create_time.FromDatetime(DAY)
    for each in made.promotions:
        each.promote_time.FromDatetime(DAY)
    return made


def figures(ndcg: float) -> api.Figures:
    estimate = api.Estimate(value=ndcg, low=ndcg - 0.01, high=ndcg + 0.01)
    return api.Figures(question_count=40, ndcg=estimate, hit_rate=estimate, mrr=estimate, coverage=estimate)


EVALUATION = api.EvaluateModelResponse(
    model_version=VERSION,
    protocol=api.EVALUATION_PROTOCOL_TEMPORAL,
    learned_to_position=640,
    judged_to_position=1280,
    question_count=40,
    user_count=40,
    item_count=60,
    confidence=0.95,
    standings=[
        api.Standing(
            name="popular", baseline=True, overall=figures(0.1), segments={"new users": figures(0.1)}
        ),
        api.Standing(name=VERSION, best=True, overall=figures(0.2), segments={"new users": figures(0.2)}),
    ],
    verdict=f"{VERSION} beats the best baseline, popular: NDCG@10 +0.1000 [+0.0900, +0.1100]",
)


def text_of(renderable) -> str:
    """As it is shown in 100 columns."""
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


@pytest.fixture
def trainer(services):
    """A stand-in that knows one model."""
    services.models, services.card, services.evaluation = [model()], "# A transformer\n", EVALUATION
    return services


def test_models_are_listed_with_what_made_them_champion(trainer):
    (listed,) = document(freshet("models", "--json"))["models"]
    assert (listed["model_version"], listed["champion"], listed["rolled_back"]) == (VERSION, True, False)
    causes = [(each["cause"], each["displaced_model_version"]) for each in listed["promotions"]]
    assert causes == [("automatic rollback", "newer"), ("training", "")]


def test_people_get_a_row_with_the_champion_marked_and_the_last_decision():
    text = text_of(as_table([model()]))
    assert f"{VERSION} *" in text.replace("\n", "")
    for words in ("2025-01-02", "640", "0.2500", "automatic"):
        assert words in text


@pytest.mark.parametrize("columns", ["80", "40"])
def test_versions_and_days_are_not_broken_in_a_narrow_terminal(trainer, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    trainer.models = [model(compared_with_version="fedcba9876543210")]
    shown = freshet("models").stdout
    assert {VERSION, "fedcba9876543210", "2025-01-02", "03:04"} <= set(shown.split())


def test_the_list_of_models_fits_into_80_columns():
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(as_table([model(compared_with_version="fedcba9876543210")]), crop=False)
    assert max(map(len, console.export_text().splitlines())) <= 80


def test_why_a_model_is_champion_stands_whole_below_the_table(trainer):
    assert f"{VERSION}: automatic rollback: worse\n" in freshet("models").stdout


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"rolled_back": True}, "rolled back"),
        ({"promotions": [], "decision": api.GateDecision(reason="too late")}, "not promoted: too late"),
    ],
)
def test_a_model_that_is_not_champion_says_why(fields, words):
    shown = model(champion=False, **fields)
    assert "abcdef *" not in text_of(as_table([shown]))
    assert reasons([shown]) == [f"{VERSION}: {words}"]


def test_why_a_model_was_rolled_back_is_told_of_the_one_that_took_its_place():
    why = api.Promotion(cause=api.PROMOTION_CAUSE_TRAINING, reason="a better model")
    newer = model(model_version="newer", champion=False, rolled_back=True, promotions=[why])
    assert reasons([newer, model()])[0] == "newer: rolled back: worse"


def test_a_model_that_was_rolled_back_twice_tells_why_it_was_the_last_time():
    newer, back_again = model(model_version="newer", champion=False, rolled_back=True), model()
    later = back_again.promotions.add(cause=api.PROMOTION_CAUSE_ROLLBACK, displaced_model_version="newer")
    later.promote_time.FromDatetime(DAY + timedelta(days=1))
    later.reason = "fewer clicks"
    assert reasons([newer, back_again])[0] == "newer: rolled back: fewer clicks"


def test_a_model_that_is_shown_says_why_it_was_rolled_back(trainer):
    newer = model(model_version="newer", champion=False, rolled_back=True)
    trainer.models = [newer, model()]
    told = "it was rolled back and has not been promoted since: worse\n"
    assert told in freshet("models", "show", "newer").stdout


@pytest.mark.parametrize(
    "psi, words", [(0.31, "this matters: `freshet train`"), (0.05, "above 0.2 it would")]
)
def test_the_list_tells_how_far_traffic_has_moved_and_whether_that_matters(trainer, psi, words):
    trainer.drift = api.Drift(
        model_version=VERSION, items_psi=psi, event_types_psi=0.01, new_item_share=0.125
    )
    told = freshet("models").stdout
    assert f"traffic since {VERSION} learned differs by {psi:.3f} in its items" in told
    assert words in told and "12.5% of it is about items without a row" in told
    assert document(freshet("models", "--json"))["drift"]["new_item_share"] == 0.125


def test_while_drift_is_not_known_nothing_is_said_of_it(trainer):
    assert "traffic since" not in freshet("models").stdout
    assert document(freshet("models", "--json"))["drift"] is None


def test_without_models_the_list_says_how_to_train_one(trainer):
    trainer.models = []
    assert "train with `freshet train`" in freshet("models").stdout


def test_a_model_is_shown_with_its_card(trainer):
    shown = document(freshet("models", "show", VERSION, "--json"))
    assert (shown["model_version"], shown["model_card"]) == (VERSION, "# A transformer\n")
    assert "A transformer" in freshet("models", "show").stdout


def test_the_card_and_its_picture_are_written_to_files(trainer, tmp_path):
    result = freshet("models", "show", VERSION, "--card", tmp_path / "cards")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cards" / "model_card.md").read_text() == "# A transformer\n"
    assert (tmp_path / "cards" / "curves.png").read_bytes() == b"picture"


def test_a_model_without_a_card_says_so_and_writes_no_file(trainer, tmp_path):
    trainer.card = ""
    assert "no card" in freshet("models", "show").stdout
    result = freshet("models", "show", "--card", tmp_path / "cards")
    assert (result.exit_code, (tmp_path / "cards").exists()) == (1, False)
    assert f"model {VERSION} has no card" in result.stderr


def test_all_decisions_about_a_model_are_told_the_newest_first():
    lines = decisions(model(erasure_receipt_ids=["r1"]), [])
    assert lines == [
        "2025-01-02 03:04:00 champion in place of newer by automatic rollback: worse",
        "2025-01-02 03:04:00 champion by training: a first model",
        "gate: promoted: a first model",
        "it may have learned from users who were erased since: receipts r1",
    ]


def test_a_model_is_promoted_with_its_reason(trainer):
    trainer.models = [model(champion=False)]
    told = document(freshet("models", "promote", VERSION, "--reason", "better by far", "--json"))
    (request,) = trainer.decided
    assert (request.model_version, request.reason) == (VERSION, "better by far")
    assert told["already_champion"] is False


def test_a_champion_that_is_promoted_is_told_of_as_such(trainer):
    assert "is the champion already" in freshet("models", "promote", VERSION, "--reason", "sure").stdout


def test_a_rollback_names_both_models_and_may_be_retried(trainer):
    told = document(freshet("models", "rollback", "newer", "--reason", "fewer clicks", "--json"))
    (request,) = trainer.decided
    assert (request.model_version, request.reason) == ("newer", "fewer clicks")
    assert request.request_id
    assert (told["rolled_back_model_version"], told["model"]["model_version"]) == ("newer", VERSION)


@pytest.mark.parametrize("arguments", [("promote", VERSION), ("rollback",), ("promote", "--reason", "why")])
def test_a_decision_without_a_model_or_a_reason_is_wrong_usage(arguments):
    assert freshet("models", *arguments).exit_code == 2


@pytest.mark.parametrize(
    "command",
    [("show", "x"), ("promote", "x", "--reason", "y"), ("rollback", "--reason", "y"), ("evaluate",)],
)
@pytest.mark.parametrize(
    "code, fix",
    [
        (grpc.StatusCode.NOT_FOUND, "`freshet models` lists what there is"),
        (grpc.StatusCode.FAILED_PRECONDITION, "`freshet models` lists what can be promoted by name"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(trainer, command, code, fix):
    trainer.refusal = (code, "it cannot be")
    result = freshet("models", *command)
    assert (result.exit_code, f"it cannot be; {fix}" in result.stderr) == (1, True)


def test_json_before_a_subcommand_is_wrong_usage(trainer):
    result = freshet("models", "--json", "show")
    assert (result.exit_code, "--json belongs behind show" in result.stderr) == (2, True)


def test_a_limit_before_a_subcommand_is_wrong_usage(trainer):
    result = freshet("models", "--limit", 3, "show")
    assert (result.exit_code, "--limit is of the list, not of show" in result.stderr) == (2, True)


def test_an_evaluation_is_the_table_of_freshet_evaluate(trainer):
    board = document(freshet("models", "evaluate", VERSION, "--protocol", "temporal", "--json"))
    (request,) = trainer.decided
    assert (request.model_version, request.protocol) == (VERSION, api.EVALUATION_PROTOCOL_TEMPORAL)
    assert (board["questions"], board["standings"][1]["overall"]["ndcg"]["value"]) == (40, 0.2)
    shown = freshet("models", "evaluate").stdout
    for words in ("NDCG@10", "popular", "new users", "beats the best baseline"):
        assert words in shown


def test_the_lines_below_an_evaluation_tell_what_it_stands_on():
    board = board_of(EVALUATION, "temporal")
    assert "temporal" in text_of(as_tables(board))
    assert lines_of(board)[:2] == [
        "40 questions to 40 users, 60 items",
        "learned up to position 640, judged by what follows up to 1,280",
    ]


@pytest.mark.parametrize("asked, end", [(False, "are not asked for"), (True, "there are too few others")])
def test_the_lines_below_an_evaluation_tell_what_became_of_prompted_events(asked, end):
    prompted = api.EvaluateModelResponse(prompted_event_count=1_200, prompted_asked=asked)
    (told,) = [line for line in lines_of(board_of(prompted, "temporal")) if "prompted" in line]
    assert told.startswith("1,200 events that a recommendation may have prompted") and told.endswith(end)
