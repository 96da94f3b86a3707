"""Errors that come out of a group of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def out_of_group(kind: type[Exception]) -> Iterator[None]:
    """An error of this kind is raised by itself, not within a group, however deep and whatever else is in it; the first
    of several. The group is its cause."""
    try:
        yield
    except BaseExceptionGroup as group:
        found: BaseException | None = group.subgroup(kind)
        if found is None:
            raise
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        raise found from group
