"""A data directory belongs to one launcher at a time; the lock goes with its process, however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import DirectoryInUse
from deploy.local.ports import describe

LOCK_NAME = "lock"


@contextmanager
def owned_directory(path: Path) -> Iterator[Path]:
    """Creates the directory and holds its lock. Raises DirectoryInUse, naming the holder."""
    path = path.resolve()
    path.mkdir(parents=True, exist_ok=True)
    with (path / LOCK_NAME).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise DirectoryInUse(f"{path} is in use by {_holder(lock.read())}") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield path


def _holder(text: str) -> str:
    return describe(int(text)) if text.isdigit() else "another launcher that is just starting"
