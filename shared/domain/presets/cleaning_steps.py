"""The cleaning steps that a domain preset declares, and their parameters. A step that is not declared is off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from shared.domain.events.event import EVENT_TYPE_BY_WORD, EventType

LONGEST_DEFAULT_CHARACTERS = 64


class StepError(ValueError):
    """A step or one of its parameters has no meaning; the message names it."""


@dataclass(frozen=True, slots=True)
class Normalise:
    """Texts in Unicode NFC without surrounding white space; event types in lower case with hyphens."""

    word: ClassVar[str] = "normalise"


@dataclass(frozen=True, slots=True)
class ClampClockSkew:
    """An event time in the future, within what is allowed, becomes the time of receipt."""

    word: ClassVar[str] = "clamp-clock-skew"


@dataclass(frozen=True, slots=True)
class RefuseFloods:
    """A user over the limit is quarantined, and the events of the burst that had counted are taken back.

    burst, refill_per_second: of a user's bucket, by event time. quarantine_minutes: in event time. reverse_last: events
    taken back at most. source_burst, source_refill_per_second: of a source's bucket, by time of receipt; a burst of 0
    is no limit.
    """

    word: ClassVar[str] = "refuse-floods"
    burst: int = 2_000
    refill_per_second: float = 2.0
    quarantine_minutes: float = 30.0
    reverse_last: int = 500
    source_burst: int = 0
    source_refill_per_second: float = 0.0

    def __post_init__(self) -> None:
        _at_least(self, "burst", 1)
        _at_least(self, "quarantine_minutes", 0)
        for name in ("refill_per_second", "reverse_last", "source_burst", "source_refill_per_second"):
            _at_least(self, name, 0)


@dataclass(frozen=True, slots=True)
class FillSession:
    """An event without a session gets that of its visit; a visit ends after so many minutes without an event."""

    word: ClassVar[str] = "fill-session"
    idle_minutes: float = 30.0

    def __post_init__(self) -> None:
        _above_zero(self, "idle_minutes")


@dataclass(frozen=True, slots=True)
class FillDwell:
    """How long the user stayed with the event before, where senders gave event times."""

    word: ClassVar[str] = "fill-dwell"


@dataclass(frozen=True, slots=True)
class DropAccidentalClicks:
    """A click is taken back when the user went on to something else within less than least_dwell_seconds."""

    word: ClassVar[str] = "drop-accidental-clicks"
    types: tuple[EventType, ...] = (EventType.CLICK, EventType.AD_CLICK)
    least_dwell_seconds: float = 1.0

    def __post_init__(self) -> None:
        _above_zero(self, "least_dwell_seconds")
        if EventType.REVERSAL in self.types:
            raise StepError("types: a reversal cannot be taken back")


@dataclass(frozen=True, slots=True)
class FillDefaults:
    """What stands in an event whose sender left it out; an empty text fills nothing."""

    word: ClassVar[str] = "fill-defaults"
    placement: str = ""
    device: str = ""

    def __post_init__(self) -> None:
        for name in ("placement", "device"):
            value = getattr(self, name)
            if len(value) > LONGEST_DEFAULT_CHARACTERS or not (value.isascii() and value.isprintable()):
                allowed = f"at most {LONGEST_DEFAULT_CHARACTERS} printable ASCII characters"
                raise StepError(f"{name} must have {allowed}, not {value!r}")


@dataclass(frozen=True, slots=True)
class CleaningSteps:
    """The steps of one domain; None is off."""

    normalise: Normalise | None = None
    clamp_clock_skew: ClampClockSkew | None = None
    refuse_floods: RefuseFloods | None = None
    fill_session: FillSession | None = None
    fill_dwell: FillDwell | None = None
    drop_accidental_clicks: DropAccidentalClicks | None = None
    fill_defaults: FillDefaults | None = None

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any] | None) -> CleaningSteps:
        """Steps from parsed YAML: step -> parameters. Raises StepError naming what is wrong and what is known."""
        if not isinstance(content or {}, Mapping):
            raise StepError(f"must be steps with their parameters, not {content!r}")
        return cls(**{_attribute(word): _step(word, values) for word, values in (content or {}).items()})


_STEPS = {
    step.word: step
    for step in (
        Normalise, ClampClockSkew, RefuseFloods, FillSession, FillDwell, DropAccidentalClicks, FillDefaults,
    )
}  # fmt: skip


def _attribute(word: str) -> str:
    if word not in _STEPS:
        raise StepError(f"unknown step {word!r}; known are {', '.join(_STEPS)}")
    return word.replace("-", "_")


def _step(word: str, values: Mapping[str, Any] | None) -> Any:
    kind, values = _STEPS[word], {} if values is None else values
    if not isinstance(values, Mapping):
        raise StepError(f"{word}: must hold parameters, or {{}} for none, not {values!r}")
    known = {each.name: each.default for each in fields(kind)}
    if unknown := set(values) - set(known):
        raise StepError(f"{word}: unknown parameters {sorted(unknown)}; known are {sorted(known)}")
    try:
        return kind(**{name: _value(name, value, known[name]) for name, value in values.items()})
    except StepError as error:
        raise StepError(f"{word}: {error}") from None


def _value(name: str, value: Any, default: Any) -> Any:
    """The value in the type of the parameter's default."""
    if isinstance(default, tuple):
        return tuple(_event_type(name, each) for each in _checked(name, value, (list,), "a list"))
    if isinstance(default, str):
        return _checked(name, value, (str,), "a text")
    if isinstance(default, float):
        return _finite(name, float(_checked(name, value, (int, float), "a number")))
    return _checked(name, value, (int,), "a whole number")


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise StepError(f"{name} must be finite, not {value}")
    return value


def _checked(name: str, value: Any, kinds: tuple[type, ...], meaning: str) -> Any:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise StepError(f"{name} must be {meaning}, not {value!r}")
    return value


def _event_type(name: str, word: Any) -> EventType:
    if word not in EVENT_TYPE_BY_WORD:
        raise StepError(f"{name}: {word!r} is no event type")
    return EVENT_TYPE_BY_WORD[word]


def _at_least(step: Any, name: str, least: float) -> None:
    if not getattr(step, name) >= least:
        raise StepError(f"{name} must be at least {least}, not {getattr(step, name)}")


def _above_zero(step: Any, name: str) -> None:
    if not getattr(step, name) > 0:
        raise StepError(f"{name} must be above 0, not {getattr(step, name)}")
