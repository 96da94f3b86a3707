"""Doing several things side by side without losing track of the ones that went well."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def all_or_error(*steps: Awaitable[T]) -> list[T]:
    """The results in order. Raises the first error, but only once every step has its outcome.

    A plain gather would raise at the first error and leave the other steps running unseen.
    """
    outcomes = await asyncio.gather(*steps, return_exceptions=True)
    results: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
