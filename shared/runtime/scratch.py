"""Directories for files on the way: gone with the process that made them, at the latest when the next one is made.

Whoever makes one keeps a file in it locked. The system lets go of the lock when the process ends, however it ends, so
that what nobody has locked any more is what a killed process has left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCK = "in-use"


@contextlib.contextmanager
def scratch_directory(purpose: str) -> Iterator[Path]:
    """A new one in the system's directory for temporary files. Those of the same purpose that killed processes of the
    same user have left are deleted before. Raises OSError."""
    prefix = f"freshet-{purpose}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _delete_if_left(left)
    with tempfile.TemporaryDirectory(prefix=prefix) as directory, _locked(Path(directory)):
        yield Path(directory)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """The file bears its name once it is locked; a directory without it is one that is being made."""
    with (directory / f"{_LOCK}.new").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.rename(file.name, directory / _LOCK)
        yield


def _delete_if_left(directory: Path) -> None:
    with contextlib.suppress(OSError):  # it is in use, is being made, is gone, or is somebody else's
        if directory.lstat().st_uid != os.getuid():
            return
        with (directory / _LOCK).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
