"""Which runs begin anew.

Decision: most runs go on from the champion and learn the new events with a replay of old ones, which takes a fraction
of the time; now and then one begins anew, so that what was learned early does not decide for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CONTINUED = "continued"
"""Of a model's metrics: 1 where training went on from a champion, 0 where it began anew."""


def full_is_due(metrics: Sequence[Mapping[str, float]], every: int) -> bool:
    """Whether the next model is to be trained anew: one of every so many. metrics: of the models, the newest first."""
    newest = metrics[: every - 1]
    return len(newest) == every - 1 and all(each.get(CONTINUED) == 1.0 for each in newest)
