"""One thing wrong with one field of what a caller sent."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """field: its path, for example "items[2].item_id". reason: a stable word for programs."""

    field: str
    description: str
    reason: str
