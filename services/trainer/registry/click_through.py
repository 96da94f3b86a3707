"""What users did with the answers of two models, for the record of a rollback.

Decision: information, no verdict. The two answered at different times, to whoever came then; only the judged comparison
asks both the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple


class ClickThrough(NamedTuple):
    """answers: how many a model gave. followed: how many of them led to an event that is learned from."""

    answers: int
    followed: int


def click_through(shown: Mapping[str, str], followed: Collection[str]) -> dict[str, ClickThrough]:
    """By model version. shown: model versions by attribution token. followed: tokens that events bear."""
    answers = Counter(shown.values())
    led = Counter(version for token, version in shown.items() if token in followed)
    return {version: ClickThrough(count, led[version]) for version, count in answers.items()}


def click_through_sentence(found: Mapping[str, ClickThrough], champion: str, predecessor: str) -> str:
    """The shares of both; empty unless both have answered."""
    if champion not in found or predecessor not in found:
        return ""
    own, other = (_share(found[version]) for version in (champion, predecessor))
    return f"of its answers {own} led to an event, of the predecessor's {other}"


def _share(of: ClickThrough) -> str:
    return f"{of.followed / of.answers:.1%} of {of.answers:,}"
