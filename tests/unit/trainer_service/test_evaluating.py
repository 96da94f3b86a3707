"""A job of the process that judges, from its columns to the document."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from services.trainer.judging.evaluating import NothingToJudge, judge_data, read_columns
from services.trainer.model.contest.contestant_names import UnknownContestant, check, encoders_named
from services.trainer.model.encoders.registry import PRESETS
from services.trainer.model.fitting.plan import NotEnoughEvents
from services.trainer.processes.evaluation_jobs import (
    DataJob,
    Failed,
    Judged,
    ModelJob,
    Went,
    decode,
    encode,
)
from shared.domain.events.event_columns import EventColumns
from tests.unit.trainer.builders import events, walks

IMPRESSION, RATE = 1, 6
MODEL_JOB = ModelJob(
    "postgresql://there", "", "video", "/there", 5, "temporal", "abc", "/there", 3, 9, 50, 0, 1, 0, "info"
)


@pytest.fixture
def job(tmp_path):
    """Makes jobs over columns, of baselines alone unless something else is said."""

    def make(columns=None, event_type=RATE, **fields) -> DataJob:
        columns = walks(n_users=8) if columns is None else columns
        columns.event_type[:] = event_type
        names = ("position", "user_key", "item_key", "event_type", "time_ms", "value")
        np.savez(tmp_path / "columns.npz", **{name: getattr(columns, name) for name in names})
        defaults = {"domain": "video", "protocol": "leave-one-out", "encoders": ["none"], "preset": "small"}
        file = str(tmp_path / "columns.npz")
        return DataJob(file, **{**defaults, "minutes": 0.005, "history_length": 6, **fields})

    return make


def ignore(_: Went) -> None:
    """Hears nothing."""


@pytest.mark.parametrize("protocol", ["leave-one-out", "temporal", "prequential"])
def test_every_protocol_gives_a_document_of_all_baselines(job, protocol):
    board = judge_data(job(protocol=protocol, held_out_share=0.3), ignore).document
    assert {"popular", "recently-popular"} <= {each["name"] for each in board["standings"]}
    assert board["protocol"] == protocol
    assert orjson.loads(orjson.dumps(board)) == board


def test_an_encoder_stands_beside_the_baselines_and_says_whether_it_beats_them(job):
    heard: list[Went] = []
    board = judge_data(job(encoders=["transformer"]), heard.append).document
    assert board["standings"][-1]["name"] == "transformer"
    assert board["verdicts"][0].startswith("transformer ")
    assert {report.stage for report in heard} >= {"transformer: training", "popular: answering"}


@pytest.mark.parametrize("name", ["transformer", "transformer+rules"])
def test_an_encoder_learns_on_in_the_prequential_protocol(job, name):
    board = judge_data(job(protocol="prequential", encoders=[name], continue_every=16), ignore).document
    modes = [each["mode"] for each in board["standings"] if each["name"] == name]
    assert modes == ["continual", "frozen", "stale"]
    assert {g["of"] for g in board["gains"]} == {"learning on", "live history", "best baseline"}


def test_what_encoders_are_mixed_with_learns_on_as_often_where_it_is_a_baseline(job):
    # Nothing of the first half tells what follows what in the second one.
    halves = [
        walks(n_users=20, n_items=10, length=8, seed=0),
        walks(n_users=20, n_items=10, length=8, seed=1),
    ]
    later = replace(halves[1], item_key=100 - 7 * halves[1].item_key % 11, position=halves[1].position + 160)
    columns = EventColumns.concatenate([halves[0], replace(later, time_ms=later.time_ms + 1_000_000)])
    board = judge_data(
        job(columns, protocol="prequential", learn_every=4, continue_every=16), ignore
    ).document
    gains = {
        each["name"]: each["difference"]["low"] for each in board["gains"] if each["of"] == "learning on"
    }
    assert gains["rules"] > 0 and gains["ease"] > 0


def test_half_of_the_events_warm_up_unless_a_number_is_given(job):
    warm_ups = [judge_data(job(protocol="prequential", warm_up_events=n), ignore).document for n in (0, 60)]
    assert [each["learned_events"] for each in warm_ups] == [32, 60]


def test_a_warm_up_of_everything_names_the_option_and_what_there_is(job):
    with pytest.raises(NothingToJudge, match=r"--warm-up 64: the data set has 64 events"):
        judge_data(job(protocol="prequential", warm_up_events=64), ignore)


def test_a_data_set_without_questions_says_why(job):
    with pytest.raises(NothingToJudge, match="no event is left to be asked for"):
        judge_data(job(events((1, 5), (1, 5))), ignore)


@pytest.mark.parametrize(
    "fields",
    [{"protocol": "temporal", "cut_time_ms": 1 << 50}, {"columns": events((1, 5), (2, 6), (1, 5), (2, 6))}],
)
def test_where_nobody_can_be_asked_nobody_learns_before_that_is_said(job, fields):
    heard: list[Went] = []
    with pytest.raises(NothingToJudge, match="no event is left to be asked for"):
        judge_data(job(encoders=["transformer"], **fields), heard.append)
    assert heard == []


def test_a_data_set_of_impressions_is_told_that_they_are_not_predicted(job):
    with pytest.raises(NothingToJudge, match="of types that the domain does not predict"):
        judge_data(job(event_type=IMPRESSION), ignore)


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"encoders": ["magic"]}, "--encoder magic: there is no such encoder; choose of transformer"),
        ({"encoders": ["all"], "preset": "tiny"}, "--preset tiny"),
    ],
)
def test_what_is_unknown_is_named_with_what_there_is(job, fields, complaint):
    with pytest.raises(UnknownContestant, match=complaint):
        judge_data(job(**fields), ignore)


def test_an_encoder_with_nothing_to_learn_says_so(job):
    with pytest.raises(NotEnoughEvents):
        judge_data(job(events((1, 5), (2, 6), (1, 6)), encoders=["transformer"]), ignore)


def test_all_are_all_and_none_is_no_one():
    assert encoders_named(["none"]) == []
    assert encoders_named(["all", "none"]) == list(PRESETS)
    assert encoders_named(["transformer", "transformer"]) == ["transformer"]


def test_what_is_named_beside_all_keeps_its_place_each_once():
    assert encoders_named(["gru+rules", "all", "lstm+int8"]) == ["gru+rules", *PRESETS, "lstm+int8"]
    assert encoders_named(["mf", "all"]) == ["mf", *(kind for kind in PRESETS if kind != "mf")]


def test_a_wrong_name_beside_all_is_refused_as_alone():
    with pytest.raises(UnknownContestant, match="--encoder magic: there is no such encoder"):
        check(["all", "magic"], "small")


def test_pictures_are_drawn_where_they_are_wanted(job, tmp_path):
    judge_data(job(protocol="prequential", plots=str(tmp_path / "plots")), ignore)
    files = sorted(tmp_path.glob("plots/*.png"))
    assert [file.stem for file in files] == ["comparison", "course", "segments"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_columns_come_back_as_they_were_written(job):
    columns = read_columns(Path(job().columns_file))
    assert columns.item_key.tolist() == walks(n_users=8).item_key.tolist()


@pytest.mark.parametrize(
    "message",
    [
        MODEL_JOB,
        DataJob("/there", "video", "temporal", ["none"], "base", 2.0, cut_time_ms=5),
        Went("popular: answering", 1, 2),
        Judged({"protocol": "temporal"}),
        Failed("there is nothing\nto judge", refused=True),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_is_one_line_and_comes_back(message):
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message
    assert type(decode(line)) is type(message)


@pytest.mark.parametrize(
    "columns, fields",
    [
        (events((1, 5), (2, 6), (3, 5)), {"protocol": "leave-one-out"}),
        (events((1, 5)), {"protocol": "prequential"}),
    ],
)
def test_where_nothing_is_left_to_learn_from_nothing_is_judged(job, columns, fields):
    with pytest.raises(NothingToJudge, match=r"to learn from|to be learned before"):
        judge_data(job(columns, **fields), ignore)
