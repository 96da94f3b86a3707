"""The end of a process whose work another one has taken over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from shared.runtime.out_of_group import out_of_group

_log = structlog.get_logger("taken_over")
TAKEN_OVER = 3
"""Exit code of such a process."""


@contextmanager
def ends_when_taken_over(loss: type[Exception]) -> Iterator[None]:
    """End the process with TAKEN_OVER when `loss` comes out of a group of tasks."""
    try:
        with out_of_group(loss):
            yield
    except loss as lost:
        _log.error("this process ends", reason=str(lost))
        raise SystemExit(TAKEN_OVER) from None
