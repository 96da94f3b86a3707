"""How the running shop is shown."""

import json
import math
from dataclasses import replace

from rich.console import Console

from deploy.local.live_view import json_line, plain_line, table
from deploy.local.shop.observer import Group, Snapshot, Training
from deploy.local.shop.statistics import ClickArm, Interval

EMPTY = Snapshot(
    uptime_seconds=3.0,
    phase="starting",
    events=0,
    events_per_second=0.0,
    delay_p50_ms=math.nan,
    delay_p99_ms=math.nan,
    answers=0,
    degraded_share=math.nan,
    model_version="",
    model_age_seconds=math.nan,
    swap_count=0,
    training=None,
    groups={name: Group(0, Interval()) for name in ("personalised", "trending", "control")},
    lift=Interval(),
    failures={},
    notices=[],
)
BUSY = replace(
    EMPTY,
    uptime_seconds=3_723.0,
    phase="open",
    delay_p50_ms=7.25,
    delay_p99_ms=20.0,
    degraded_share=0.125,
    model_version="0123456789abcdef",
    model_age_seconds=61.0,
    training=Training("r1", "training", 40, 100, 2.5, 1_000.0, 12.0, ""),
    groups={**EMPTY.groups, "personalised": Group(1_200, Interval(0.1, 0.08, 0.12))},
    lift=Interval(2.0, 1.5, 2.6),
    failures={"ranking UNAVAILABLE": 3},
    notices=["ranking ended with code -9; started again"],
)


def text(snapshot: Snapshot) -> str:
    """The table as text."""
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(table(snapshot))
    return capture.get()


def test_a_start_without_data_shows_no_invented_numbers():
    assert "nan" not in text(EMPTY) + plain_line(EMPTY)
    assert "none yet" in text(EMPTY)


def test_the_table_shows_delay_model_training_and_click_rates():
    shown = text(BUSY)
    for words in (
        "1:02:03",
        "p50 7.2 ms",
        "0123456789abcdef, 1:01 old",
        "40/100 steps",
        "8.00% to 12.00%",
        "2.00 x",
    ):
        assert words in shown


def test_the_table_names_failures_and_what_was_started_again():
    assert "3 x ranking UNAVAILABLE" in text(BUSY)
    assert "ranking ended with code -9; started again" in text(BUSY)


def test_a_plain_line_is_one_line_with_the_same_figures():
    line = plain_line(BUSY)
    assert "\n" not in line
    for words in ("p99 20.0 ms", "degraded 12.5%", "click rate model 10.00%, control -"):
        assert words in line


def test_json_has_measured_numbers_and_says_null_where_nothing_is_known():
    document = json.loads(json_line(EMPTY))
    assert document["delay_p50_ms"] is None
    assert document["lift"]["value"] is None
    measured = ClickArm()
    measured.add("a", 10, 1)
    measured.add("b", 30, 3)
    busy = replace(BUSY, groups={"control": Group(40, measured.click_rate())})
    assert json.loads(json_line(busy))["groups"]["control"]["click_rate"]["value"] == 0.1
    assert json.loads(json_line(BUSY))["groups"]["personalised"]["impressions"] == 1_200
