"""`freshet evaluate`: how good are recommendations?"""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

from services.console.datasets.dataset import Dataset
from services.console.datasets.facts import LEAST_HISTORY, MOST_HISTORY, usual_history
from services.console.datasets.replay import load
from services.console.failures import CommandFailed, run
from services.console.judging.evaluation_files import Files
from services.console.judging.offline import check_installed, ended_in_good_order, judge, write_columns
from services.console.number_options import Real, Whole
from services.console.output import Output, json_option
from services.console.standings import as_lines, as_tables
from shared.adapters.presets import load_preset
from shared.domain.events.event import EVENT_CODE_BY_WORD
from shared.domain.presets.preset import DomainPreset, PresetError

LEAVE_ONE_OUT, TEMPORAL, PREQUENTIAL = "leave-one-out", "temporal", "prequential"
DEFAULT_MINUTES = 5.0
MOST_LIVE_MINUTES = 1_440.0
"""What the trainer takes; it would say so once everything is replayed only."""
_OF_ONE_PROTOCOL = {
    "warm_up": ("--warm-up", PREQUENTIAL),
    "learn_every": ("--learn-every", PREQUENTIAL),
    "cut": ("--cut", TEMPORAL),
    "held_out_share": ("--held-out-share", TEMPORAL),
}
_NOT_LIVE = {
    "encoder": "--encoder",
    "preset": "--preset",
    "plots": "--plots",
    "seed": "--seed",
    "threads": "--threads",
}


@click.command(short_help="Judge recommendations against a data set.")
@click.option(
    "--data",
    "directory",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory as `freshet replay` reads it.",
)
@click.option(
    "--protocol",
    type=click.Choice([LEAVE_ONE_OUT, TEMPORAL, PREQUENTIAL]),
    default=LEAVE_ONE_OUT,
    show_default=True,
    help="Each user's last event; each user's next one behind a cut in time; or every event in turn.",
)
@click.option(
    "--encoder",
    multiple=True,
    metavar="NAME",
    help='What to train, as often as you like: transformer, hstu, gru, lstm, cnn, mf, or with "+rules" behind it as it '
    'is served, or "+int8": the same encoder quantised, trained once for both; "all" encoders alone, or "none" for '
    "baselines. By default transformer+rules.",
)
@click.option("--preset", metavar="SIZE", help="Size of the encoder: small (the default), base or large.")
@click.option(
    "--minutes",
    type=Real(min=0, min_open=True),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="The most time for learning, for each encoder.",
)
@click.option(
    "--history-length",
    type=click.IntRange(1, 1000),
    envvar="FRESHET_HISTORY_LENGTH",
    help="Events of a history that are learned from and answered by, as FRESHET_HISTORY_LENGTH of the services; by "
    f"default that, or else what nine users of ten have, from {LEAST_HISTORY} to {MOST_HISTORY}.",
)
@click.option(
    "--warm-up",
    type=Whole(1),
    help="Prequential: events learned before the first question; by default half of them.",
)
@click.option(
    "--learn-every",
    type=Whole(1),
    help="Prequential: events asked for before they are learned; by default 256.",
)
@click.option(
    "--cut",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Temporal: the time, in UTC, from which on events are held out.",
)
@click.option(
    "--held-out-share",
    type=Real(0, 1, min_open=True, max_open=True),
    help="Temporal: without --cut, the newest share of the events is held out; by default 0.1.",
)
@click.option(
    "--domain",
    envvar="FRESHET_DOMAIN",
    default="video",
    show_default=True,
    help="Domain preset: what events mean; by default as FRESHET_DOMAIN of the services.",
)
@click.option("--seed", type=Whole(0), help="Of training, events of one time, and intervals; by default 0.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads that learn; by default all processors.")
@click.option(
    "--output",
    "file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write JSON into this file too.",
)
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write pictures into this directory.",
)
@click.option("--live", is_flag=True, help="Ask `Recommend` of a suite that is started for it.")
@click.option("--against-running", is_flag=True, help="Ask `Recommend` of the running suite.")
@click.option("--skip-bad-lines", is_flag=True, help="Judge by the rest although some lines make no sense.")
@json_option
def evaluate(directory: Path, file: Path | None, as_json: bool, **chosen: Any) -> None:
    """Judge the baselines and an encoder on a data set, or with --live the whole system by what it answers.

    An answer is good if the event that was kept back stands high in it: all items are ranked that the user has
    not seen. Every figure comes with its 95 % interval, of --live all but coverage. A model that does not beat the
    baselines says so.

    --live replays the data set without each user's last event into a suite of its own, trains, and judges what
    `Recommend` answers. With --against-running, the log of the running suite must not hold the events that are
    kept back: use a namespace that has never seen the data set.

    \b
    Example:
      freshet evaluate --data data/ml-100k --protocol prequential --encoder transformer --minutes 5
      freshet evaluate --data data/ml-100k --live
    """
    output, files = Output(as_json), Files(file, chosen["plots"])
    _check(chosen)
    if not (chosen["live"] or chosen["against_running"]):
        check_installed(bool(chosen["plots"]))
    preset = _preset(chosen)
    files.prepare()
    dataset = load(directory, chosen["skip_bad_lines"], output)
    if not dataset.interactions:
        raise CommandFailed(f"{directory} has no interactions")
    chosen["history_length"] = chosen["history_length"] or usual_history(dataset.interactions)
    if chosen["live"] or chosen["against_running"]:
        _live(dataset, files, output, {**chosen, **_meant(preset)})
    else:
        _offline(dataset, files, output, chosen)


def _check(chosen: dict[str, Any]) -> None:
    """Raises click.UsageError for options that do not go together."""
    for name, (option, protocol) in _OF_ONE_PROTOCOL.items():
        if chosen[name] is not None and chosen["protocol"] != protocol:
            raise click.UsageError(f"{option} goes with --protocol {protocol}, not {chosen['protocol']}")
    if chosen["cut"] and chosen["held_out_share"]:
        raise click.UsageError("--cut and --held-out-share are two ways to cut: give one of them")
    if not (chosen["live"] or chosen["against_running"]):
        return
    if chosen["against_running"] and _typed("history_length"):
        raise click.UsageError("--history-length does not go with --against-running: that suite has its own")
    if chosen["protocol"] != LEAVE_ONE_OUT:
        raise click.UsageError(f"--live goes with --protocol {LEAVE_ONE_OUT}, not {chosen['protocol']}")
    if chosen["minutes"] > MOST_LIVE_MINUTES:
        raise click.UsageError(f"--minutes with --live must be at most {MOST_LIVE_MINUTES:,.0f}")
    for name, option in _NOT_LIVE.items():
        if chosen[name] not in (None, ()):
            raise click.UsageError(f"{option} does not go with --live: the suite trains what it serves")


def _preset(chosen: dict[str, Any]) -> DomainPreset:
    """What events mean. Raises CommandFailed if there is no such preset, or none that makes sense."""
    try:
        return load_preset(chosen["domain"])
    except (PresetError, OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"--domain {chosen['domain']}: {error}") from error


def _meant(preset: DomainPreset) -> dict[str, frozenset[str]]:
    """Types of events after which a user has had the item, which is not recommended again, and types that are worth
    predicting, as the trainer takes them."""
    wanted = preset.in_history & (preset.weight > 0)
    return {"consuming": _types(preset.consumes), "wanted": _types(wanted)}


def _types(chosen: np.ndarray) -> frozenset[str]:
    return frozenset(word for word, code in EVENT_CODE_BY_WORD.items() if chosen[code])


def _typed(parameter: str) -> bool:
    """Whether a parameter stands on the command line, not in the environment."""
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def _live(dataset: Dataset, files: Files, output: Output, chosen: dict[str, Any]) -> None:
    # The launcher is for developers' machines; judging offline does without.
    from deploy.local.errors import LauncherError
    from services.console.judging import live
    from services.console.judging.evaluation import Asked

    suite = None if chosen["against_running"] else live.OwnSuite(chosen["domain"], chosen["history_length"])
    try:
        asked = Asked(chosen["minutes"], chosen["consuming"], chosen["wanted"])
        evaluation = run(live.judge_live(dataset, output, asked, suite))
    except LauncherError as error:
        raise CommandFailed(str(error)) from error
    with files.written_too(evaluation.document()):
        output.result(evaluation.document(), live.as_table(evaluation), live.as_lines(evaluation))


def _offline(dataset: Dataset, files: Files, output: Output, chosen: dict[str, Any]) -> None:
    with ended_in_good_order(), tempfile.TemporaryDirectory(prefix="freshet-evaluate-") as directory:
        job = _job(Path(directory), chosen)
        write_columns(dataset.interactions, Path(job["columns_file"]))
        board = judge(job, output)
        document = {"dataset": dataset.name, "settings": _settings(job), **board}
        with files.written_too(document, Path(job["plots"])):
            output.result(document, as_tables(document), as_lines(document))


def _job(directory: Path, chosen: dict[str, Any]) -> dict[str, Any]:
    """What the trainer's code is told; what is not given is left to its defaults."""
    cut: datetime | None = chosen["cut"]
    given = {
        "warm_up_events": chosen["warm_up"],
        "learn_every": chosen["learn_every"],
        "cut_time_ms": cut and int(cut.replace(tzinfo=UTC).timestamp() * 1_000),
        "held_out_share": chosen["held_out_share"],
        "seed": chosen["seed"],
    }
    return {
        "columns_file": str(directory / "columns.npz"),
        "plots": str(directory / "plots") if chosen["plots"] else "",
        "domain": chosen["domain"],
        "protocol": chosen["protocol"],
        "encoders": list(chosen["encoder"]) or ["transformer+rules"],
        "preset": chosen["preset"] or "small",
        "minutes": chosen["minutes"],
        "history_length": chosen["history_length"],
        "threads": chosen["threads"] or os.cpu_count() or 1,
        **{name: value for name, value in given.items() if value is not None},
    }


def _settings(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job.items() if name not in ("columns_file", "plots", "protocol")}
