"""A data directory belongs to one launcher at a time; the lock goes with its process, however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from deploy.local.errors import DirectoryInUse, DirectoryUnusable
from deploy.local.ports import describe

LOCK_NAME = "lock"


@contextmanager
def owned_directory(path: Path) -> Iterator[Path]:
    """Creates the directory and holds its lock. Raises DirectoryInUse, naming the holder, and DirectoryUnusable."""
    path = path.resolve()
    with opened(path / LOCK_NAME, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise DirectoryInUse(f"{path} is in use by {_holder(lock.read())}") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield path


def opened(path: Path, mode: str) -> IO[Any]:
    """A file of the data directory, whose folder is made if need be. Raises DirectoryUnusable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open(mode)
    except OSError as error:
        raise DirectoryUnusable(path.parent, error) from error


def _holder(text: str) -> str:
    return describe(int(text)) if text.isdigit() else "another launcher that is just starting"
