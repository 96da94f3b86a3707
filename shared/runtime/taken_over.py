"""The end of a process whose work another one has taken over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

_log = structlog.get_logger("taken_over")
TAKEN_OVER = 3
"""Exit code of such a process."""


@contextmanager
def ends_when_taken_over(loss: type[Exception]) -> Iterator[None]:
    """End the process with TAKEN_OVER when `loss` comes out of a group of tasks."""
    reason = ""
    try:
        yield
    except* loss as lost:
        reason = str(lost.exceptions[0])
    if reason:
        _log.error("this process ends", reason=reason)
        raise SystemExit(TAKEN_OVER)
