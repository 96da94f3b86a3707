"""Output that its file does not take, since the disk is full."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from services.console.failures import CommandFailed

_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Failures of a write to what is open already; that of a closed pipe is told by nobody, as with other commands."""


@contextmanager
def failing_when_unwritten() -> Iterator[None]:
    """Raises CommandFailed, in one line, when what is printed cannot be written."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in _NOT_WRITTEN:
            raise
        _throw_away_output()
        raise CommandFailed(f"the output cannot be written: {error.strerror}") from error


def _throw_away_output() -> None:
    """What stdout did not take is still waiting for it, and would fail again when Python ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
