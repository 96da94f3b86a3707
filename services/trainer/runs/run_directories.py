"""What runs keep on disk while they go on, so that the next trainer finds it: the wish, the job, checkpoints.

A directory for each run, named after it, readable by the trainer's user alone; gone when the run has ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
import structlog

from services.trainer.processes.reports import Job

_log = structlog.get_logger("run_directories")
_WISH, _JOB = "wish.json", "job.json"
_OF_THE_PROCESS = ("database_url", "namespace", "directory", "niceness", "code_revision", "log_level")
"""What a job is told by the trainer that now runs, not by the one that began it; the database's password stays out."""


class Wish(NamedTuple):
    """What whoever starts a run asks for; 0 and empty stand for the setting.

    max_minutes: most time for learning. encoder, preset: names of the encoder and its size. full: begin anew, do not go
    on from the champion.
    """

    max_minutes: float = 0.0
    encoder: str = ""
    preset: str = ""
    full: bool = False


class RunDirectories:
    """The directories of the runs of one trainer."""

    def __init__(self, base: str) -> None:
        """base: empty for `freshet-training-UID` in the system's directory for temporary files."""
        self._base = Path(base or Path(tempfile.gettempdir()) / f"freshet-training-{os.getuid()}")

    def begin(self, run_id: str, wish: Wish) -> Path:
        """The directory of a run, made if need be. Raises OSError."""
        directory = self._of(run_id)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.getuid() or self._base.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._base} belongs to another user; set FRESHET_TRAIN_DIRECTORY")
        _put(directory / _WISH, wish._asdict())
        return directory

    def note(self, run_id: str, wish: Wish) -> None:
        """As `begin`, before a run is told of: it goes on however soon the trainer is killed. What cannot be used is
        for the run to say."""
        with contextlib.suppress(OSError):
            self.begin(run_id, wish)

    def wish(self, run_id: str) -> Wish | None:
        """What was asked for when the run began; None when nothing of it is left."""
        return _get(self._of(run_id) / _WISH, Wish)

    def save_job(self, run_id: str, job: Job) -> None:
        """Keeps what the run was told. Raises OSError."""
        _put(self._of(run_id) / _JOB, {**job._asdict(), **dict.fromkeys(_OF_THE_PROCESS, "")})

    def job(self, run_id: str, now: Job) -> Job | None:
        """What the run was told, as far as it is not for this process to say, which `now` is; None without one."""
        kept = _get(self._of(run_id) / _JOB, Job)
        return kept and kept._replace(**{name: getattr(now, name) for name in _OF_THE_PROCESS})

    def forget(self, run_id: str) -> None:
        """Deletes all that is kept of a run."""
        shutil.rmtree(self._of(run_id), ignore_errors=True)

    def run_ids(self) -> list[str]:
        """Runs of which something is kept."""
        return sorted(path.name for path in self._base.glob("*") if path.is_dir())

    def _of(self, run_id: str) -> Path:
        return self._base / run_id


Kept = TypeVar("Kept", Wish, Job)


def _put(file: Path, values: dict[str, Any]) -> None:
    partial = file.with_suffix(".partial")
    partial.write_bytes(orjson.dumps(values))
    partial.replace(file)


def _get(file: Path, kind: type[Kept]) -> Kept | None:
    try:
        return kind(**orjson.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        _log.warning("not read", file=str(file), reason=str(error))
        return None
