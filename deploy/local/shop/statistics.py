"""What the shop measures: click rates of its groups, delays, rates. Pure: times are handed in, in seconds."""

import math
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

NORMAL_95 = 1.959964
RATE_WINDOW_SECONDS = 10.0
KEPT_DELAYS = 2_000
KEPT_ANSWERS = 1_000
PERSONALISED, TRENDING, CONTROL = "personalised", "trending", "control"
ARMS = (PERSONALISED, TRENDING, CONTROL)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % confidence interval; all nan when there is nothing to estimate from."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(slots=True)
class ClickArm:
    """Impressions and clicks of one group, by shopper."""

    impressions: Counter[str] = field(default_factory=Counter)
    clicks: Counter[str] = field(default_factory=Counter)

    def add(self, user_id: str, impressions: int, clicks: int) -> None:
        """Counts one list that was shown: how many items, and how many of them were clicked."""
        self.impressions[user_id] += impressions
        self.clicks[user_id] += clicks

    @property
    def total_impressions(self) -> int:
        """How many items were shown."""
        return self.impressions.total()

    def click_rate(self) -> Interval:
        """Clicks per impression. The interval is that of a ratio of sums over shoppers.

        One shopper's impressions depend on each other, so the shopper is the unit of variation:
        variance = m / (m - 1) x sum (c_i - r n_i)^2 / (sum n_i)^2 for m shoppers.
        """
        shown = np.array([self.impressions[user] for user in self.impressions], dtype=float)
        clicked = np.array([self.clicks[user] for user in self.impressions], dtype=float)
        if len(shown) == 0:
            return Interval()
        rate = float(clicked.sum() / shown.sum())
        if len(shown) == 1:
            return Interval(rate, 0.0, 1.0)
        spread = len(shown) / (len(shown) - 1) * np.square(clicked - rate * shown).sum()
        margin = NORMAL_95 * math.sqrt(spread) / float(shown.sum())
        return Interval(rate, max(0.0, rate - margin), min(1.0, rate + margin))


def lift(treated: Interval, control: Interval) -> Interval:
    """How many times the control's rate the treated rate is, by the delta method on the logarithm."""
    if not (treated.value > 0 and control.value > 0):
        return Interval()
    relative = [(rate.high - rate.low) / (2 * rate.value) for rate in (treated, control)]
    margin, ratio = math.hypot(*relative), treated.value / control.value
    return Interval(ratio, ratio * math.exp(-margin), ratio * math.exp(margin))


class Rate:
    """Events per second over the last ten seconds."""

    def __init__(self) -> None:
        self._counted: deque[tuple[float, int]] = deque()

    def add(self, now: float, count: int = 1) -> None:
        """Counts events."""
        self._counted.append((now, count))
        self._forget(now)

    def per_second(self, now: float, since: float) -> float:
        """The rate; `since` is when counting began, so that a short run is not underrated."""
        self._forget(now)
        window = min(RATE_WINDOW_SECONDS, max(now - since, 1e-9))
        return sum(count for _, count in self._counted) / window

    def _forget(self, now: float) -> None:
        while self._counted and self._counted[0][0] <= now - RATE_WINDOW_SECONDS:
            self._counted.popleft()


@dataclass(slots=True)
class Statistics:
    """Everything the shop has measured so far. Delays are in seconds."""

    started: float
    arms: dict[str, ClickArm] = field(default_factory=lambda: {arm: ClickArm() for arm in ARMS})
    events: int = 0
    answers: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    rate: Rate = field(default_factory=Rate)
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_DELAYS))
    degraded: deque[bool] = field(default_factory=lambda: deque(maxlen=KEPT_ANSWERS))

    def written(self, now: float, count: int = 1) -> None:
        """Counts events that are in the log."""
        self.events += count
        self.rate.add(now, count)

    def answered(self, delay_seconds: float | None, degraded: bool) -> None:
        """Counts an answer: how long after its event it came (None: after none), and if it was degraded."""
        self.answers += 1
        self.degraded.append(degraded)
        if delay_seconds is not None:
            self.delays.append(delay_seconds)

    def delay_quantile(self, quantile: float) -> float:
        """A quantile of the newest delays; nan if there are none."""
        return float(np.quantile(self.delays, quantile)) if self.delays else math.nan

    def degraded_share(self) -> float:
        """The share of degraded ones among the newest answers; nan if there are none."""
        return sum(self.degraded) / len(self.degraded) if self.degraded else math.nan
