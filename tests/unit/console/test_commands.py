"""The commands as typed, against a stand-in of the services."""

import json
import os

import grpc
import pytest
from grpc_health.v1 import health_pb2

from deploy.local.settings import DEFAULT_DIRECTORY
from deploy.local.shop.running import RunSettings
from freshet.ingestion.v1 import ingestion_pb2
from freshet.trainer.v1 import trainer_pb2
from services.console.suite import up
from tests.unit.console.conftest import document, freshet, succeeded

COMMANDS = (
    "up",
    "status",
    "simulate",
    "replay",
    "train",
    "models",
    "recommend",
    "rank",
    "evaluate",
    "replay-check",
    "skew",
    "erase",
    "verify-erasure",
)
SUBCOMMANDS = (
    "items delete",
    "dead-letters list",
    "dead-letters redrive",
    "models show",
    "models promote",
    "models rollback",
    "models evaluate",
)


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
    "arguments",
    [
        ("nope",),
        ("recommend",),
        ("rank", "u"),
        ("recommend", "u", "--page-size", 501),
        ("replay", "/nowhere"),
    ],
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


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_the_services_are_asked_themselves_where_the_environment_names_a_proxy(
    services, monkeypatch, variable
):
    for exception in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(exception, raising=False)
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    states = {state["service"]: state for state in document(freshet("status", "--json"))["services"]}
    assert {state["state"] for state in states.values()} == {"serving"}
    assert states["feature"]["facts"]["folded_to_position"] == 41


def test_status_tells_the_newest_dead_letter_and_why_it_was_refused(services):
    violations = [ingestion_pb2.Violation(field="event_type", reason="UNKNOWN_EVENT_TYPE")]
    services.letters = [
        ingestion_pb2.DeadLetter(
            dead_letter_id="17", refuse_time={"seconds": 1_000_000_000}, violations=violations
        )
    ]
    states = {state["service"]: state for state in document(freshet("status", "--json"))["services"]}
    told = states["ingestion"]["facts"]["newest_dead_letter"]
    assert told == "17, 2001-09-09 01:46:40, UNKNOWN_EVENT_TYPE"


def test_status_tells_what_a_service_that_does_not_serve_says_about_it(services):
    services.health_service.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    services.refusal = (grpc.StatusCode.FAILED_PRECONDITION, "another one leads")
    result = freshet("status")
    assert (result.exit_code, "(not serving: another one leads)" in result.stderr) == (1, True)
    assert "start with" not in result.stderr


def test_status_tells_how_far_traffic_has_moved_away_from_the_champion(services):
    services.drift = trainer_pb2.Drift(model_version="abc", items_psi=0.31, new_item_share=0.125)
    states = {state["service"]: state for state in document(freshet("status", "--json"))["services"]}
    facts = states["trainer"]["facts"]
    assert (facts["items_drift_psi"], facts["new_item_share"]) == (0.31, 0.125)


def test_status_tells_the_others_while_one_is_down(services, monkeypatch):
    monkeypatch.setenv("FRESHET_TRAINER_ADDRESS", "127.0.0.1:1")
    result = freshet("status")
    assert (result.exit_code, result.stdout.count("serving"), result.stdout.count("down")) == (1, 3, 1)


def test_status_tells_each_feature_instance_with_its_partitions_and_position(services, monkeypatch):
    here = os.environ["FRESHET_FEATURE_ADDRESS"]
    monkeypatch.setenv("FRESHET_FEATURE_ADDRESS", f"0-7={here},8-15=127.0.0.1:1")
    services.owned_partitions = set(range(8))
    result = freshet("status", "--json")
    states = {state["service"]: state for state in json.loads(result.stdout)["services"]}
    first, second = states["feature-0"], states["feature-1"]
    assert (first["state"], first["address"]) == ("serving", here)
    assert first["facts"] == {"partitions": "0-7", "folded_to_position": 41}
    assert (second["state"], second["facts"]) == ("down", {"partitions": "8-15"})
    assert (result.exit_code, "feature-1 at 127.0.0.1:1 (down)" in result.stderr) == (1, True)


def test_status_tells_that_an_instance_does_not_own_what_the_environment_says(services):
    services.owned_partitions = {0, 1}
    (feature,) = (s for s in document(freshet("status", "--json"))["services"] if s["service"] == "feature")
    for words in ("0-15", "owns partitions [0, 1]", "set FRESHET_FEATURE_ADDRESS to all instances"):
        assert words in feature["facts"]["error"]


@pytest.mark.parametrize(
    "variable, text, complaint",
    [
        ("FRESHET_FEATURE_ADDRESS", "0-7=a:1", "FRESHET_FEATURE_ADDRESS for 16 partitions"),
        ("FRESHET_PARTITIONS", "many", "FRESHET_PARTITIONS='many'"),
    ],
)
def test_status_names_the_variable_that_is_wrong(services, monkeypatch, variable, text, complaint):
    monkeypatch.setenv(variable, text)
    result = freshet("status")
    assert (result.exit_code, complaint in result.stderr) == (1, True)


def test_no_feature_instance_at_all_is_wrong_usage():
    result = freshet("up", "--feature-instances", 0)
    assert result.exit_code == 2
    assert "--feature-instances" in result.stderr and "x>=1" in result.stderr


@pytest.mark.parametrize("partitions", [4, 16, 32])
def test_more_feature_instances_than_partitions_are_refused_with_the_option_and_the_fix(
    partitions, monkeypatch
):
    monkeypatch.setenv("FRESHET_PARTITIONS", str(partitions))
    result = freshet("up", "--feature-instances", partitions + 1)
    assert result.exit_code == 1
    assert "--feature-instances" in result.stderr and f"from 1 to {partitions}" in result.stderr


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


def test_rank_shows_the_probabilities_that_there_are(services):
    lines = freshet("rank", "u", "9", "7").stdout.splitlines()
    assert any("P(click)" in line and "P(purchase)" in line for line in lines)
    assert any("9" in line and "0.1250" in line and "0.5000" in line for line in lines)
    assert "degraded" not in "".join(lines)


def test_rank_as_json_has_every_item_of_the_request(services):
    answer = document(freshet("rank", "u", "9", "--json"))
    assert [(each["item_id"], each["probabilities"]) for each in answer["results"]] == [
        ("9", {"click": 0.125, "purchase": 0.5})
    ]
    assert answer["degraded"] == ["DEGRADED_REASON_NO_PROBABILITIES"]


def test_recommend_asks_for_probabilities_when_told_to(services):
    freshet("recommend", "u"), freshet("recommend", "u", "--probabilities")
    assert [request.with_probabilities for request in services.recommend_requests] == [False, True]


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


def test_an_empty_directory_is_the_default_one_and_not_the_folder_one_is_in(monkeypatch):
    started = []

    async def note(settings: RunSettings) -> None:
        started.append(settings.suite.directory)

    monkeypatch.setattr(up, "run_local", note)
    assert freshet("up", "--directory", "").exit_code == 0
    assert started == [DEFAULT_DIRECTORY.absolute()]
