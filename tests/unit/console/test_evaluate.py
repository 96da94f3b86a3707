"""`freshet evaluate` as typed, judging in a process of the trainer's code."""

import importlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import psutil
import pytest
from rich.console import Console

from services.console.datasets.dataset import Interaction
from services.console.datasets.facts import usual_history
from services.console.exit_codes import INTERRUPTED
from services.console.judging.evaluation_files import Files
from services.console.judging.offline import write_columns
from services.console.standings import as_lines, as_tables, places_of_interval
from tests.conditions import eventually
from tests.unit.console.conftest import document, freshet

evaluate_module = importlib.import_module("services.console.judging.evaluate")


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """Users who walk round a ring of films."""
    directory = tmp_path_factory.mktemp("ring")
    (directory / "items.tsv").write_text("item\ttitle\tgenres\n")
    rows = [
        f"u{user}\ti{(user + step) % 9}\t{1000 + 10 * step + user}\t4"
        for step in range(6)
        for user in range(8)
    ]
    (directory / "interactions.tsv").write_text("\n".join(["user\titem\ttimestamp\trating", *rows, ""]))
    return directory


@pytest.fixture(scope="module")
def judged(ring, tmp_path_factory):
    """The result of a prequential run, and the directory of its files."""
    files = tmp_path_factory.mktemp("judged")
    wanted = ("--protocol", "prequential", "--encoder", "none", "--warm-up", 20, "--seed", 3, "--threads", 1)
    result = freshet("evaluate", "--data", ring, *wanted, "--output", files / "it.json", "--json")
    return document(result), files


def test_the_document_tells_what_was_judged_and_how(judged):
    board, _ = judged
    assert (board["dataset"][:4], board["protocol"], board["learned_events"]) == ("ring", "prequential", 20)
    assert (board["settings"]["seed"], board["settings"]["encoders"]) == (3, ["none"])
    assert board["questions"] == 28


def test_the_document_tells_how_long_histories_were(judged):
    board, _ = judged
    assert board["settings"]["history_length"] == 50


def test_the_length_of_histories_is_taken_as_the_services_take_it(ring):
    wanted = ("--protocol", "prequential", "--encoder", "none", "--warm-up", 20, "--json")
    board = document(freshet("evaluate", "--data", ring, *wanted, "--history-length", 3))
    assert board["settings"]["history_length"] == 3


@pytest.mark.parametrize(
    "longest, length",
    [(10, 50), (60, 54), (100, 90), (1_000, 200)],
)
def test_histories_are_as_long_as_nine_users_of_ten_need_within_bounds(longest, length):
    rows = [
        Interaction(f"u{user}", f"i{event}", event, 4.0)
        for user in range(1, 11)
        for event in range(user * longest // 10)
    ]
    assert usual_history(rows) == length


def test_every_figure_has_its_interval(judged):
    board, _ = judged
    for standing in board["standings"]:
        for metric in ("ndcg", "hit_rate", "mrr", "coverage"):
            estimate = standing["overall"][metric]
            assert estimate["low"] <= estimate["value"] <= estimate["high"]


@pytest.mark.parametrize("low, high, places", [(0.121, 0.139, 3), (0.0002, 0.0004, 4), (-0.02, 0.001, 3)])
def test_ends_of_an_interval_are_told_so_that_a_small_figure_lies_between_them(low, high, places):
    assert places_of_interval(low, high) == places


def test_the_file_holds_the_same_document(judged):
    board, files = judged
    assert json.loads((files / "it.json").read_text()) == board


def test_people_get_a_table_of_80_columns_in_which_nothing_is_cut(judged):
    board, _ = judged
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(as_tables(board))
    text = console.export_text()
    assert "…" not in text
    for words in (
        "NDCG@10",
        "recently-popular",
        "continual",
        "*",
        "new users",
        "live history",
        "learning on",
    ):
        assert words in text


def test_no_figure_is_cut_where_the_terminal_is_narrower_than_the_table(ring, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert "…" not in freshet("evaluate", "--data", ring, *BASELINES).stdout


def test_the_lines_below_tell_what_the_figures_stand_on_and_who_beats_whom(judged):
    board, _ = judged
    verdict = "transformer does not clearly beat the best baseline"
    lines = as_lines({**board, "verdicts": [verdict]})
    assert lines[0] == "28 questions to 8 users, 9 items, 20 events learned before"
    assert lines[-1] == verdict


def test_an_unknown_encoder_names_the_option_and_what_there_is(ring):
    result = freshet("evaluate", "--data", ring, "--encoder", "magic")
    assert result.exit_code == 1
    assert "--encoder magic: there is no such encoder; choose of transformer" in result.stderr


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (("--cut", "2020-01-01"), "--cut goes with --protocol temporal"),
        (("--warm-up", 3), "--warm-up goes with --protocol prequential"),
        (("--protocol", "temporal", "--cut", "2020-01-01", "--held-out-share", 0.2), "give one of them"),
        (("--live", "--protocol", "temporal"), "--live goes with --protocol leave-one-out"),
        (("--live", "--seed", 0), "--seed does not go with --live"),
        (("--live", "--encoder", "transformer"), "--encoder does not go with --live"),
        (("--against-running", "--history-length", 3), "--history-length does not go with --against-running"),
        (("--protocol", "guess"), "'leave-one-out', 'temporal', 'prequential'"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(films, arguments, complaint):
    result = freshet("evaluate", "--data", films, *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_columns_are_ordered_by_time_and_ties_stay_in_file_order(tmp_path):
    rows = [Interaction("u", item, second, 4.0) for item, second in (("a", 2.0), ("b", 1.0), ("c", 2.0))]
    write_columns(rows, tmp_path / "columns.npz")
    columns = np.load(tmp_path / "columns.npz")
    assert columns["time_ms"].tolist() == [1000, 2000, 2000]
    first, second, third = columns["item_key"].tolist()
    write_columns([rows[1], rows[0], rows[2]], tmp_path / "columns.npz")
    assert np.load(tmp_path / "columns.npz")["item_key"].tolist() == [first, second, third]


BASELINES = ("--protocol", "prequential", "--encoder", "none", "--warm-up", 20, "--threads", 1)


def test_a_cut_at_the_beginning_of_1970_is_a_cut(ring):
    wanted = ("--protocol", "temporal", "--encoder", "none", "--threads", 1, "--cut", "1970-01-01")
    result = freshet("evaluate", "--data", ring, *wanted)
    assert result.exit_code == 1
    assert "no event is left to learn from: all are held out" in result.stderr


@pytest.fixture
def never_judged(monkeypatch):
    """Judging would fail the test."""

    def judge(*_):
        raise AssertionError("judged")

    monkeypatch.setattr(evaluate_module, "judge", judge)


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("--output", "/proc/x/out.json"), "--output /proc/x/out.json: No such file or directory"),
        (("--plots", "/proc/x"), "--plots /proc/x: No such file or directory"),
        (("--plots", "/proc"), "--plots /proc: "),
        (("--domain", "/tmp/nope.yaml"), "--domain /tmp/nope.yaml: there is no preset '/tmp/nope.yaml'"),
        (("--domain", "nope"), "--domain nope: there is no preset 'nope'; shipped are"),
        (("--live", "--domain", "nope"), "--domain nope: there is no preset 'nope'; shipped are"),
    ],
)
def test_what_would_fail_in_the_end_is_told_in_a_line_before_anything_is_judged(
    ring, never_judged, arguments, told
):
    result = freshet("evaluate", "--data", ring, *arguments)
    assert result.exit_code == 1
    assert f"freshet: {told}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_directories_that_are_missing_are_made(ring, tmp_path):
    file, pictures = tmp_path / "a" / "b" / "it.json", tmp_path / "c" / "d"
    result = freshet("evaluate", "--data", ring, *BASELINES, "--output", file, "--plots", pictures, "--json")
    assert json.loads(file.read_text()) == document(result)
    assert {"comparison.png", "segments.png"} <= {picture.name for picture in pictures.iterdir()}


def test_a_write_that_fails_names_the_option_when_the_result_is_shown_already(ring):
    result = freshet("evaluate", "--data", ring, *BASELINES, "--output", "/dev/full")
    assert result.exit_code == 1
    assert "NDCG@10" in result.stdout
    assert result.stderr.strip() == "freshet: --output /dev/full: No space left on device"


def test_the_file_is_written_although_the_result_could_not_be_shown(tmp_path):
    with pytest.raises(BrokenPipeError), Files(tmp_path / "it.json", None).written_too({"users": 2}):
        raise BrokenPipeError
    assert json.loads((tmp_path / "it.json").read_text()) == {"users": 2}


@pytest.fixture
def partly_bad(films):
    """A data set with a line that makes no sense."""
    with (films / "interactions.tsv").open("a") as file:
        file.write("u\t1\tsoon\t4\n")
    return films


def test_bad_lines_are_named_and_nothing_is_judged(partly_bad, never_judged):
    result = freshet("evaluate", "--data", partly_bad)
    assert result.exit_code == 1
    assert "interactions.tsv:7: timestamp must be a number" in result.stderr
    assert "correct them, or --skip-bad-lines" in result.stderr


def test_bad_lines_can_be_skipped(partly_bad):
    wanted = ("--encoder", "none", "--threads", 1, "--skip-bad-lines", "--json")
    assert document(freshet("evaluate", "--data", partly_bad, *wanted))["users"] == 2


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_sigterm_ends_the_judging_too_and_leaves_nothing_behind(ring, tmp_path):
    command = [sys.executable, "-m", "services.console", "evaluate", "--data", str(ring), "--threads", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, **quiet) as console:
        (judge,) = await eventually(psutil.Process(console.pid).children)
        console.terminate()
        assert console.wait(20) == INTERRUPTED
    await eventually(lambda: ended(judge))
    assert list(tmp_path.iterdir()) == []


async def test_ctrl_c_in_a_terminal_is_for_the_command_and_not_for_the_process_that_judges(ring, tmp_path):
    command = [sys.executable, "-m", "services.console", "evaluate", "--data", str(ring), "--threads", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, **quiet) as console:
        (judge,) = await eventually(psutil.Process(console.pid).children)
        await eventually(lambda: os.getpgid(judge.pid) == judge.pid)
        assert os.getpgid(console.pid) != judge.pid
        console.kill()
    await eventually(lambda: ended(judge))
