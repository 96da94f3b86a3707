"""One thing that is proven at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SHOWN = 50
"""Differences that are kept as evidence."""


@dataclass(frozen=True)
class Check:
    """number: of the guarantee it belongs to. figures: in words, with numbers. evidence: what speaks against it. notes:
    what is worth a look all the same."""

    number: int
    name: str
    figures: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.evidence

    def __str__(self) -> str:
        return f"{self.number}. {'ok  ' if self.holds else 'FAIL'} {self.name}: {self.figures}"


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Keys whose values differ, with both, at most SHOWN of them."""
    keys = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
    return {key: {"expected": expected.get(key), "found": found.get(key)} for key in keys[:SHOWN]}
