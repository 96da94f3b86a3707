"""Token buckets: who may do how much, in a burst and for long."""

from __future__ import annotations


class TokenBucket:
    """Holds up to `burst` tokens and gains `per_second`; time is whatever the caller counts in seconds.

    A time before one seen earlier gains nothing.
    """

    __slots__ = ("seconds", "tokens")

    def __init__(self, burst: float, seconds: float) -> None:
        self.tokens = burst
        self.seconds = seconds

    def take(self, seconds: float, burst: float, per_second: float) -> bool:
        """Take one token at time `seconds`; False when there is none."""
        elapsed = seconds - self.seconds
        if elapsed > 0:
            self.tokens = min(burst, self.tokens + elapsed * per_second)
            self.seconds = seconds
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True
