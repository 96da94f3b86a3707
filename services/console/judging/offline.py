"""Judging without a suite: the trainer's code runs as a process of its own, told by a job, heard by its reports.

The command line must not load torch, nor import another service: it writes the columns of the data set to a file
and passes the job as JSON, as `services.trainer.processes.evaluation_jobs` describes it.
"""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from services.console.datasets.dataset import Interaction
from services.console.failures import CommandFailed
from services.console.output import Output
from shared.adapters.codecs.keys import item_keys
from shared.domain.events.event import EVENT_CODE_BY_WORD
from shared.runtime.child_process import ENV_THREADS
from shared.runtime.terminal import hang_up

_STDERR = 2  # what libraries print is no report


def write_columns(interactions: Sequence[Interaction], file: Path) -> None:
    """Interactions as the columns the trainer reads: by time, those of one time in file order."""
    seconds = np.array([row.timestamp for row in interactions], np.float64)
    order = np.argsort(seconds, kind="stable")
    count = len(interactions)
    columns = {
        "position": np.arange(1, count + 1, dtype=np.int64),
        "user_key": item_keys(row.user for row in interactions)[order],
        "item_key": item_keys(row.item for row in interactions)[order],
        "event_type": np.array([EVENT_CODE_BY_WORD[row.event_type] for row in interactions], np.int64)[order],
        "time_ms": np.round(1000.0 * seconds).astype(np.int64)[order],
        "value": np.array([row.rating for row in interactions], np.float32)[order],
    }
    np.savez(file, **columns)  # type: ignore[arg-type]


def check_installed(plots: bool) -> None:
    """Raises CommandFailed if the trainer's packages are not there."""
    for package in ("torch", "scipy", *(["matplotlib"] if plots else [])):
        if importlib.util.find_spec(package) is None:
            raise CommandFailed(
                f"judging here needs the package {package}: pip install 'freshet[trainer]', or judge the running "
                "system with --against-running"
            )


def judge(job: dict[str, Any], output: Output) -> dict[str, Any]:
    """Draws how it goes and returns the scoreboard. Raises CommandFailed when there is none."""
    with output.progress("") as progress, _process(job) as lines:
        bar = progress.add_task("reading", total=None, detail="")
        for line in lines:
            kind, values = orjson.loads(line)
            if kind == "Judged":
                document: dict[str, Any] = values["document"]
                return document
            if kind == "Failed":
                raise CommandFailed(values["reason"])
            progress.update(
                bar,
                description=values["stage"],
                completed=values["done"],
                total=values["total"],
                detail=values["detail"],
            )
    raise CommandFailed("the process that judges ended without a word; its last lines are above")


@contextlib.contextmanager
def ended_in_good_order() -> Iterator[None]:
    """SIGTERM and the end of the terminal end what goes on as Ctrl-C does, so that nothing is left behind."""
    numbers = (signal.SIGTERM, *hang_up())
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def _process(job: dict[str, Any]) -> Iterator[Iterator[bytes]]:
    """The lines of the process; leaving the context ends it, and so does the end of this process."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.trainer.judging.evaluator", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for this process, which ends that one
                env={**os.environ, **dict.fromkeys(ENV_THREADS, str(job["threads"]))},
            )
        try:
            with contextlib.suppress(BrokenPipeError):
                ours.sendall(orjson.dumps(["DataJob", job]) + b"\n")
            with ours.makefile("rb") as lines:
                yield _until_reset(lines)
        finally:
            process.kill()
            process.wait()


def _until_reset(lines: Any) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionResetError):
        yield from lines
