"""What becomes of large blocks that are freed, where the C library is glibc; elsewhere nothing is changed.

By default it learns from each large block that is freed which size it gives back to the system at once, and how much
it keeps. Services know better than that, each by what it does.
"""

from __future__ import annotations

import ctypes

_MIB = 1024 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_GIVEN_BACK_FROM = _MIB
_KEPT_BELOW, _KEPT = 32 * _MIB, 64 * _MIB
"""The first is the most that glibc takes."""


def give_back_at_once() -> None:
    """For what grows: holes that growing arrays leave behind took 50 bytes a user at a million users."""
    _set(_M_MMAP_THRESHOLD, _GIVEN_BACK_FROM)


def keep_for_the_next() -> None:
    """For what is needed again and again, as the scores of a batch or what a step of training reckons with: pages that
    come fresh from the system, filled with zeros one by one, took a third of a batch's time at 100,000 items, and a
    quarter of a step's with two layers over 200 events."""
    _set(_M_MMAP_THRESHOLD, _KEPT_BELOW)
    _set(_M_TRIM_THRESHOLD, _KEPT)


def keep_in_one_place() -> None:
    """As `keep_for_the_next`, for all threads together: each would keep by itself the most that it ever needed, and
    chance says which thread takes over a model. With 100,000 items that was 10 to 30 MiB more the longer models were
    swapped."""
    keep_for_the_next()
    _set(_M_ARENA_MAX, 1)


def _set(parameter: int, value: int) -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(parameter, value)
