"""Trains one model outside of the suite, on one machine or on several, and writes its bundle.

    torchrun --nproc-per-node 2 -m services.trainer.offline --columns events.npz --bundle model.bundle

trains over two processes of this machine; over two machines, with the same files and the same settings on both:

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 4 --master-addr HOST --master-port 29500 \\
        -m services.trainer.offline --bundle model.bundle

and the same with `--node-rank 1` on the other; without torchrun it is a single process. What is done is what the
trainer does in a run: a hold-out judges the model and the baselines, then the model learns the hold-out as well.
How, is said by the trainer's settings, FRESHET_DOMAIN and FRESHET_TRAIN_... Events come from a file, a .npz with the
columns of `EventColumns`, or, without --columns, from the archive in FRESHET_DATABASE_URL, up to where it is when the
first process looks.

Every process holds all events and the whole model, and learns its share of each step's windows (see
`services.trainer.model.fitting.parallel`); it takes GPUs where there are some (FRESHET_TRAIN_DEVICE). More machines pay
where a step is large: see --batch-tokens. The first process reports (a line of JSON each, on standard error), judges
and writes. When a process dies, all end; torchrun --max-restarts starts them again, and they go on from the first one's
checkpoint in FRESHET_TRAIN_DIRECTORY. The bundle is not registered: no trainer serves it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from zipfile import BadZipFile

from services.trainer.judging.evaluating import read_columns
from services.trainer.learning.learning import accompany, learn
from services.trainer.model.fitting.checkpoint import key_of
from services.trainer.model.fitting.parallel import Ranks, process_group
from services.trainer.processes.jobs import job_of
from services.trainer.processes.reports import Finished, Job, Report, encode_report
from services.trainer.reading.archive_reading import read
from services.trainer.runs.run_directories import RunDirectories, Wish
from services.trainer.settings import TrainerSettings
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import database_engine
from shared.domain.events.event_columns import EventColumns
from shared.runtime.logs import configure_logs
from shared.runtime.memory import keep_for_the_next
from shared.runtime.settings import read_settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says; raises what learning raises."""
    asked, settings = _parser().parse_args(arguments), read_settings(TrainerSettings)
    configure_logs("trainer", settings.log_level)
    keep_for_the_next()
    with process_group(60.0 * asked.timeout_minutes) as ranks:
        columns = asyncio.run(_columns(asked, settings, ranks))
        directories, run_id = RunDirectories(settings.train_directory), _run_id(asked.bundle, ranks)
        job = _job(asked, settings, columns, str(directories.begin(run_id, Wish())))
        if not ranks.first:
            accompany(columns, job)
        else:
            _write(learn(columns, job, _tell), asked.bundle)
    directories.forget(run_id)


def _run_id(bundle: Path, ranks: Ranks) -> str:
    """The same for the same bundle, so that what is started again finds its checkpoints; one for each process."""
    return f"offline-{key_of([str(bundle.absolute())], [])}-{ranks.rank}"


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser("python -m services.trainer.offline", description=summary)
    parser.add_argument("--bundle", type=_new_file, required=True, help="file to write the bundle to")
    parser.add_argument("--columns", type=Path, help=".npz of events; without it the archive is read")
    parser.add_argument(
        "--batch-tokens",
        type=int,
        default=0,
        help="events of a step, of all processes together; 0: by the data",
    )
    parser.add_argument(
        "--timeout-minutes",
        type=float,
        default=30.0,
        help="how long a process waits for the others; longer than judging takes (default 30)",
    )
    return parser


def _new_file(text: str) -> Path:
    """Told before anything is learned: a directory that is missing would cost the whole run."""
    file = Path(text)
    if not file.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {file.parent}")
    return file


async def _columns(asked: argparse.Namespace, settings: TrainerSettings, ranks: Ranks) -> EventColumns:
    if asked.columns:
        return _of_file(asked.columns)
    async with database_engine(settings.database_url, settings.namespace, "trainer-offline") as engine:
        position = ranks.of_first(await Archive(engine).position() if ranks.first else 0)
    return await read(job_of(settings)._replace(to_position=position), "trainer-offline")


def _of_file(file: Path) -> EventColumns:
    try:
        return read_columns(file)
    except (OSError, ValueError, TypeError, BadZipFile) as error:  # TypeError: another set of columns
        needed = ", ".join(column.name for column in fields(EventColumns))
        raise SystemExit(f"--columns {file}: must be a .npz with {needed}: {error}") from error


def _job(asked: argparse.Namespace, settings: TrainerSettings, columns: EventColumns, directory: str) -> Job:
    last = int(columns.position[-1]) if len(columns) else 0
    return job_of(settings)._replace(
        run_id="offline", directory=directory, to_position=last, batch_tokens=asked.batch_tokens
    )


def _tell(report: Report) -> None:
    print(encode_report(report).decode(), end="", file=sys.stderr, flush=True)


def _write(finished: Finished, file: Path) -> None:
    _tell(finished)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    shutil.copyfile(finished.bundle, partial)
    partial.replace(file)


if __name__ == "__main__":
    main()
