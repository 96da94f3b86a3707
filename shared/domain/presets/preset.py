"""What each event type means in one domain: video, e-commerce, music and so on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from shared.domain.events.event import EVENT_TYPE_BY_WORD, EVENT_TYPE_CODES, EventType
from shared.domain.presets.cleaning_steps import CleaningSteps, StepError

DAY_SECONDS = 86_400.0
MOST_WEIGHT = 1_000
"""Counters sum weights in 32 bits."""
_KINDS = {
    **dict.fromkeys(("weight", "half_life_seconds", "half_life_days"), ((int, float), "a number")),
    **dict.fromkeys(("in_history", "consumes"), ((bool,), "true or false")),
    "objective": ((str,), "a text"),
}
"""Types of what a meaning may say, and how they are called."""


class PresetError(ValueError):
    """A preset says something that has no meaning; the message names the place."""


@dataclass(frozen=True, slots=True)
class EventMeaning:
    """What one event type means.

    weight: how much it says about liking the item; negative for dislikes. half_life_seconds: after which time it
    says half as much. objective: the behaviour it is the label of, for example "purchase"; empty for none.
    in_history: whether it enters the user's history. consumes: whether the user has had the item afterwards, so
    that it is not recommended again.
    """

    weight: float = 0.0
    half_life_seconds: float = 7 * DAY_SECONDS
    objective: str = ""
    in_history: bool = True
    consumes: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):
            _checked(each.name, getattr(self, each.name))
        if not abs(self.weight) <= MOST_WEIGHT:
            raise PresetError(f"weight must be from -{MOST_WEIGHT} to {MOST_WEIGHT}, not {self.weight}")
        if not self.half_life_seconds > 0:
            raise PresetError(f"half_life_seconds must be above 0, not {self.half_life_seconds}")
        # Else the state would not know of it, and the item be recommended again.
        if self.consumes and not self.in_history:
            raise PresetError(
                "consumes needs in_history: only what enters the history is known to be consumed"
            )


@dataclass(frozen=True)
class DomainPreset:
    """The meanings of one domain, also as arrays indexed by event type code (24,), and how its events are cleaned."""

    name: str
    placements: tuple[str, ...]
    meanings: Mapping[EventType, EventMeaning]
    cleaning: CleaningSteps = field(default_factory=CleaningSteps)
    weight: np.ndarray = field(init=False, repr=False, compare=False)
    half_life_ms: np.ndarray = field(init=False, repr=False, compare=False)
    in_history: np.ndarray = field(init=False, repr=False, compare=False)
    consumes: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        column = lambda attribute, default: np.array(  # noqa: E731
            [
                getattr(self.meanings[EventType(code)], attribute) if code in self.meanings else default
                for code in range(EVENT_TYPE_CODES)
            ]
        )
        object.__setattr__(self, "weight", column("weight", 0.0))
        object.__setattr__(self, "half_life_ms", column("half_life_seconds", 7 * DAY_SECONDS) * 1000.0)
        object.__setattr__(self, "in_history", column("in_history", False))
        object.__setattr__(self, "consumes", column("consumes", False))

    @classmethod
    def from_mapping(cls, name: str, content: Mapping[str, Any]) -> DomainPreset:
        """Build a preset from parsed YAML. Raises PresetError naming what is wrong and where."""
        if not isinstance(content, Mapping):
            raise PresetError(
                f"preset {name}: must hold {', '.join(_KEYS[:-1])} and {_KEYS[-1]}, not {content!r}"
            )
        if unknown := set(content) - set(_KEYS):
            raise PresetError(f"preset {name}: unknown keys {sorted(unknown)}; known are {', '.join(_KEYS)}")
        meanings = {
            _event_type(name, word): _meaning(name, word, values or {})
            for word, values in _events(name, content).items()
        }
        missing = [event_type.word for event_type in EventType if event_type not in meanings]
        if missing:
            raise PresetError(f"preset {name}: events without a meaning: {', '.join(missing)}")
        return cls(name, _placements(name, content), meanings, _cleaning(name, content))


_KEYS = ("placements", "cleaning", "events")


def _events(name: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    events = content.get("events", {})
    if not isinstance(events, Mapping):
        raise PresetError(f"preset {name}: events must be types with their meanings, not {events!r}")
    return events


def _placements(name: str, content: Mapping[str, Any]) -> tuple[str, ...]:
    placements = content.get("placements", [])
    if not isinstance(placements, list) or not all(isinstance(each, str) for each in placements):
        raise PresetError(f"preset {name}: placements must be a list of texts, not {placements!r}")
    return tuple(placements)


def _checked(name: str, value: Any) -> Any:
    """The value of that name, which is of its type."""
    kinds, called = _KINDS[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise PresetError(f"{name} must be {called}, not {value!r}")
    return value


def _cleaning(name: str, content: Mapping[str, Any]) -> CleaningSteps:
    try:
        return CleaningSteps.from_mapping(content.get("cleaning"))
    except StepError as error:
        raise PresetError(f"preset {name}, cleaning: {error}") from None


def _event_type(name: str, word: str) -> EventType:
    try:
        return EVENT_TYPE_BY_WORD[word]
    except KeyError:
        raise PresetError(f"preset {name}: {word!r} is no event type") from None


def _meaning(name: str, word: str, values: Mapping[str, Any]) -> EventMeaning:
    if not isinstance(values, Mapping):
        raise PresetError(f"preset {name}, {word}: must hold parameters, not {values!r}")
    known = set(_KINDS)
    unknown = set(values) - known
    if unknown:
        raise PresetError(f"preset {name}, {word}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
    values = dict(values)
    try:
        if "half_life_days" in values:
            days = _checked("half_life_days", values.pop("half_life_days"))
            values["half_life_seconds"] = days * DAY_SECONDS
        return EventMeaning(**values)
    except PresetError as error:
        raise PresetError(f"preset {name}, {word}: {error}") from None
