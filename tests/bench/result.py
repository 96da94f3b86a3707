"""What one row of the budget table says."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

NOT_BUILT = "not built yet"
NO_BUDGET = "none"


class BenchError(RuntimeError):
    """A row cannot be measured, or what was measured does not count; the message says why."""


@dataclass(frozen=True)
class Result:
    """One budget and what was measured for it.

    measured, baseline: for people, with units. ratio: measured over baseline, None where there is no baseline.
    reached: None when nothing was measured. details: numbers behind the text, for the JSON file.
    """

    what: str
    budget: str
    measured: str = NOT_BUILT
    baseline: str = ""
    ratio: float | None = None
    reached: bool | None = None
    failed: bool = False
    details: Mapping[str, object] = field(default_factory=dict)


def say(text: str) -> None:
    """A line of progress on stderr."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
