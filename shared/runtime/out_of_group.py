"""Errors that come out of a group of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def out_of_group(kind: type[Exception]) -> Iterator[None]:
    """An error of this kind is raised by itself, not within a group; the first of several."""
    found: BaseException | None = None
    try:
        yield
    except* kind as group:
        found = group.exceptions[0]
    if found is not None:
        raise found
