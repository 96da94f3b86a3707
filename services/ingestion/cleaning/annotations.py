"""What cleaning did, for the event to carry and the metrics to count."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import Counter

from freshet.event.v1.event_pb2 import Cleaning, UserEvent

CLEANED = Counter("freshet_cleaning_total", "What cleaning did.", ["step", "effect"])
CHANGED, FILLED, REFUSED, TAKEN_BACK = "changed", "filled", "refused", "taken back"


class Effects:
    """How often steps had an effect since the last `publish`: a metric costs more than a step does."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def count(self, step: str, effect: str, times: int = 1) -> None:
        """`step` had `effect`."""
        key = (step, effect)
        self._counts[key] = self._counts.get(key, 0) + times

    def publish(self) -> None:
        """Add what was counted to the metrics."""
        counts, self._counts = self._counts, {}
        for (step, effect), times in counts.items():
            CLEANED.labels(step, effect).inc(times)


EFFECTS = Effects()


def annotate(event: UserEvent, step: str, field: str, original: str) -> None:
    """Note on the event what `field` held before `step` changed it."""
    event.cleaning.append(Cleaning(step=step, field=field, original=original))
    EFFECTS.count(step, CHANGED)


@lru_cache(maxsize=64)
def filled(step: str, field: str) -> bytes:
    """The annotation that `step` filled in `field`, as bytes of an event."""
    return UserEvent(cleaning=[Cleaning(step=step, field=field)]).SerializeToString()
