"""What cleaning does in one domain: its steps, each on when the preset declares it, with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from shared.domain.event import EVENT_TYPE_BY_WORD


@dataclass(frozen=True, slots=True)
class Normalise:
    """Unicode NFC, no white space around ids, event types in their usual spelling."""


@dataclass(frozen=True, slots=True)
class ClampClockSkew:
    """An event time a little ahead of the clock becomes the time of receipt."""


@dataclass(frozen=True, slots=True)
class FillSession:
    """An event without a session gets one, which ends by idle time."""

    idle_minutes: float = 30.0


@dataclass(frozen=True, slots=True)
class FillDefaults:
    """Placement and the attribute "device" where they are missing; an empty default fills nothing."""

    placement: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class FillDwell:
    """How long the user stayed with the event before, by event times that senders gave."""


@dataclass(frozen=True, slots=True)
class DropAccidentalClicks:
    """A click that the user left sooner than this is taken back."""

    least_dwell_seconds: float = 0.3
    event_types: tuple[str, ...] = ("click", "ad-click")


@dataclass(frozen=True, slots=True)
class RefuseFloods:
    """A user may have `burst` events at once and `per_second` more, by event time; who has more is quarantined as a
    bot, and their newest `reverse_last` events are taken back. The same for a source of events, by time of receipt; 0:
    no limit for it."""

    burst: float = 2_000.0
    per_second: float = 2.0
    quarantine_minutes: float = 15.0
    reverse_last: int = 500
    source_burst: float = 0.0
    source_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class CleaningRules:
    """The steps of a domain; None: the step is off."""

    normalise: Normalise | None = None
    clamp_clock_skew: ClampClockSkew | None = None
    fill_session: FillSession | None = None
    fill_defaults: FillDefaults | None = None
    fill_dwell: FillDwell | None = None
    drop_accidental_clicks: DropAccidentalClicks | None = None
    refuse_floods: RefuseFloods | None = None


STEPS: dict[str, type] = {
    "normalise": Normalise,
    "clamp-clock-skew": ClampClockSkew,
    "fill-session": FillSession,
    "fill-defaults": FillDefaults,
    "fill-dwell": FillDwell,
    "drop-accidental-clicks": DropAccidentalClicks,
    "refuse-floods": RefuseFloods,
}
"""The steps by the name that presets and annotations give them, in the order in which they are taken."""


def cleaning_rules(content: Mapping[str, Any]) -> CleaningRules:
    """Rules from the `cleaning` section of a preset. Raises ValueError naming the step and what is wrong with it."""
    if unknown := sorted(set(content) - set(STEPS)):
        raise ValueError(f"cleaning: unknown steps {unknown}; known are {list(STEPS)}")
    return CleaningRules(
        **{name.replace("-", "_"): _step(name, values or {}) for name, values in content.items()}
    )


def _step(name: str, values: Mapping[str, Any]) -> Any:
    kind = STEPS[name]
    known = {field.name: field.type for field in fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"cleaning, {name}: unknown parameters {unknown}; known are {sorted(known)}")
    return kind(**{parameter: _value(name, parameter, value) for parameter, value in values.items()})


def _value(step: str, parameter: str, value: Any) -> Any:
    place = f"cleaning, {step}, {parameter}"
    if parameter == "event_types":
        if unknown := [word for word in value if word not in EVENT_TYPE_BY_WORD]:
            raise ValueError(f"{place}: {unknown[0]!r} is no event type")
        return tuple(value)
    if parameter in ("placement", "device"):
        if not isinstance(value, str):
            raise ValueError(f"{place}: must be a text, not {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{place}: must be a number, 0 or more, not {value!r}")
    return value
