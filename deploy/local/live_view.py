"""How a snapshot of the running shop looks: a table, a line of text, or JSON. Pure."""

import math
from dataclasses import asdict

import orjson
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deploy.local.shop.observer import Snapshot, Training
from deploy.local.shop.statistics import CONTROL, PERSONALISED, TRENDING, Interval

NOTHING = "-"
GROUPS = {
    PERSONALISED: "recommended by the model",
    TRENDING: "recommended, no model or history yet",
    CONTROL: "control: random order",
}


def table(snapshot: Snapshot) -> RenderableType:
    """The live view of a terminal."""
    parts = [_figures(snapshot), _click_rates(snapshot)]
    if snapshot.training is not None:
        parts.insert(1, _training(snapshot.training))
    if snapshot.failures:
        parts.append(Text(f"waited out: {_failures(snapshot)}", style="yellow"))
    parts += [Text(notice, style="yellow") for notice in snapshot.notices]
    title = f"Freshet, {_duration(snapshot.uptime_seconds)}: {snapshot.phase}"
    return Panel(Group(*parts), title=title, subtitle="Ctrl-C stops everything")


def plain_line(snapshot: Snapshot) -> str:
    """The live view of a pipe or a log: one line."""
    rates = {name: group.click_rate for name, group in snapshot.groups.items()}
    parts = [
        f"{_duration(snapshot.uptime_seconds)} {snapshot.phase}",
        f"{snapshot.events_per_second:.0f} events/s",
        f"delay p50 {_number(snapshot.delay_p50_ms)} ms p99 {_number(snapshot.delay_p99_ms)} ms",
        f"model {_model(snapshot)}",
        f"training {_training_words(snapshot.training)}",
        f"click rate model {_percent(rates[PERSONALISED])}, control {_percent(rates[CONTROL])}",
        f"degraded {_share(snapshot.degraded_share)}",
    ]
    return " | ".join(parts)


def json_line(snapshot: Snapshot) -> str:
    """The snapshot as one line of JSON; what is unknown is null."""
    return orjson.dumps(asdict(snapshot)).decode()


def _figures(snapshot: Snapshot) -> RenderableType:
    grid = Table.grid(padding=(0, 3))
    grid.add_row("events", f"{snapshot.events:,}", f"{snapshot.events_per_second:.0f} a second")
    delay = f"p50 {_number(snapshot.delay_p50_ms)} ms"
    grid.add_row("event to recommendation", delay, f"p99 {_number(snapshot.delay_p99_ms)} ms")
    degraded = f"{_share(snapshot.degraded_share)} of the newest degraded"
    grid.add_row("answers", f"{snapshot.answers:,}", degraded)
    grid.add_row("model", _model(snapshot), f"swaps: {snapshot.swap_count}")
    return grid


def _click_rates(snapshot: Snapshot) -> RenderableType:
    rates = Table("shown", "impressions", "click rate", "95 % interval", box=None, padding=(0, 3, 0, 0))
    for name, words in GROUPS.items():
        group = snapshot.groups[name]
        rates.add_row(words, f"{group.impressions:,}", _percent(group.click_rate), _range(group.click_rate))
    if not math.isnan(snapshot.lift.value):
        lift = snapshot.lift
        words = f"{lift.low:.2f} to {lift.high:.2f}"
        rates.add_row("model / control", "", Text(f"{lift.value:.2f} x", style="bold"), words)
    return rates


def _training(training: Training) -> RenderableType:
    grid = Table.grid(padding=(0, 3))
    if training.going_on and training.total_steps:
        bar = ProgressBar(total=training.total_steps, completed=training.step, width=30)
        grid.add_row("training", bar, _training_words(training))
    else:
        grid.add_row("training", _training_words(training), training.outcome)
    return grid


def _training_words(training: Training | None) -> str:
    if training is None:
        return NOTHING
    if training.state != "training" or not training.total_steps:
        return training.state
    return (
        f"{training.step}/{training.total_steps} steps, loss {training.loss:.3f}, "
        f"{training.examples_per_second:,.0f} examples/s, {training.eta_seconds:.0f} s to go"
    )


def _model(snapshot: Snapshot) -> str:
    if not snapshot.model_version:
        return "none yet"
    return f"{snapshot.model_version}, {_duration(snapshot.model_age_seconds)} old"


def _failures(snapshot: Snapshot) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(snapshot.failures.items()))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.1f}"


def _share(share: float) -> str:
    return NOTHING if math.isnan(share) else f"{share:.1%}"


def _percent(rate: Interval) -> str:
    return NOTHING if math.isnan(rate.value) else f"{rate.value:.2%}"


def _range(rate: Interval) -> str:
    return NOTHING if math.isnan(rate.value) else f"{rate.low:.2%} to {rate.high:.2%}"
