"""The commands as typed, against a stand-in of the services."""

import pytest

from freshet.trainer.v1 import trainer_pb2
from tests.unit.console.conftest import document, freshet, succeeded

COMMANDS = (
    "up",
    "status",
    "replay",
    "train",
    "recommend",
    "evaluate",
    "replay-check",
    "skew",
    "erase",
    "verify-erasure",
)
SUBCOMMANDS = ("items delete", "dead-letters list", "dead-letters redrive")


@pytest.mark.parametrize("command", COMMANDS + SUBCOMMANDS)
def test_the_help_of_every_command_has_an_example_and_offers_json(command):
    result = freshet(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"freshet {command}" in result.stdout.split("Example:")[1]
    assert "--json" in result.stdout


def test_the_list_of_commands_is_complete():
    commands = (*COMMANDS, "items", "dead-letters")
    assert all(command in freshet("--help").stdout for command in commands)


@pytest.mark.parametrize(
    "arguments", [("nope",), ("recommend",), ("recommend", "u", "--page-size", 501), ("replay", "/nowhere")]
)
def test_wrong_usage_ends_with_2(arguments):
    assert freshet(*arguments).exit_code == 2


def test_nobody_at_the_address_is_one_line_that_names_the_fix(nobody):
    result = freshet("recommend", "u")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"nobody answers at {nobody} (ranking): start it with `make run` or `freshet up`" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_status_names_what_is_down(nobody):
    result = freshet("status")
    assert result.exit_code == 1
    assert f"ingestion at {nobody} (down)" in result.stderr


def test_status_tells_position_and_model(services):
    states = {state["service"]: state for state in document(freshet("status", "--json"))["services"]}
    assert {state["state"] for state in states.values()} == {"serving"}
    assert states["feature"]["facts"]["folded_to_position"] == 41
    assert states["ranking"]["facts"]["model_version"] == "abc"
    assert states["trainer"]["facts"]["last_run_state"] == "succeeded"


def test_status_tells_the_others_while_one_is_down(services, monkeypatch):
    monkeypatch.setenv("FRESHET_TRAINER_ADDRESS", "127.0.0.1:1")
    result = freshet("status")
    assert (result.exit_code, result.stdout.count("serving"), result.stdout.count("down")) == (1, 3, 1)


def test_recommend_shows_titles_where_a_file_knows_them(services, films):
    result = freshet("recommend", "u", "--titles", films / "items.tsv")
    assert result.exit_code == 0
    assert "Alien" in result.stdout
    assert "degraded: no model" in result.stdout


def test_recommend_passes_its_options_on(services):
    answer = document(freshet("recommend", "u", "--page-size", 2, "--exclude", "9", "--token", "", "--json"))
    assert [result["item_id"] for result in answer["results"]] == ["3", "1"]
    request = services.recommend_requests[0]
    assert (request.page_size, list(request.exclude_item_ids)) == (2, ["9"])


def test_train_draws_a_run_to_its_decision(services):
    run = document(freshet("train", "--json"))
    assert (run["state"], run["model_version"], run["metrics"]) == ("succeeded", "abc", {"ndcg@10": 0.2})
    assert "0.2 beats 0.1" in freshet("train").stdout


def test_a_training_that_failed_ends_with_1_and_says_why(services):
    services.run = trainer_pb2.TrainingRun(
        run_id="r1", state=trainer_pb2.TRAINING_STATE_FAILED, error="no events"
    )
    result = freshet("train")
    assert result.exit_code == 1
    assert "training run r1 failed: no events" in result.stderr


def test_a_second_training_names_the_one_that_is_going_on(services):
    services.busy = True
    result = freshet("train")
    assert result.exit_code == 1
    assert "run r0 is going on" in result.stderr
    assert "--follow" in result.stderr


def test_evaluate_judges_what_recommend_answers(services, films, tmp_path):
    file = tmp_path / "result.json"
    result = document(freshet("evaluate", "--data", films, "--against-running", "--output", file, "--json"))
    # Each user's last item is 3, and everybody is recommended 3, then 1.
    assert (result["users"], result["training_events"]) == (2, 3)
    assert (result["model"]["ndcg_at_10"], result["model"]["hit_rate_at_10"]) == (1.0, 1.0)
    assert result["model"]["coverage_at_10"] == pytest.approx(2 / 3)
    assert result["popular"]["hit_rate_at_10"] == 0.0
    assert '"users": 2' in file.read_text()


def test_evaluate_ends_with_1_when_the_model_is_not_promoted(services, films):
    services.run = succeeded(promoted=False)
    result = freshet("evaluate", "--data", films, "--against-running")
    assert result.exit_code == 1
    assert "model abc was not promoted" in result.stderr
