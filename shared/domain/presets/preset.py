"""What each event type means in one domain: video, e-commerce, music and so on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from shared.domain.events.event import EVENT_TYPE_BY_WORD, EVENT_TYPE_CODES, EventType
from shared.domain.presets.cleaning_steps import CleaningSteps, StepError

DAY_SECONDS = 86_400.0


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
        if self.half_life_seconds <= 0:
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
        if unknown := set(content) - set(_KEYS):
            raise PresetError(f"preset {name}: unknown keys {sorted(unknown)}; known are {', '.join(_KEYS)}")
        meanings = {
            _event_type(name, word): _meaning(name, word, values or {})
            for word, values in content.get("events", {}).items()
        }
        missing = [event_type.word for event_type in EventType if event_type not in meanings]
        if missing:
            raise PresetError(f"preset {name}: events without a meaning: {', '.join(missing)}")
        return cls(name, tuple(content.get("placements", ())), meanings, _cleaning(name, content))


_KEYS = ("placements", "cleaning", "events")


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
    known = {f.name for f in fields(EventMeaning)} | {"half_life_days"}
    unknown = set(values) - known
    if unknown:
        raise PresetError(f"preset {name}, {word}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
    values = dict(values)
    if "half_life_days" in values:
        values["half_life_seconds"] = values.pop("half_life_days") * DAY_SECONDS
    try:
        return EventMeaning(**values)
    except PresetError as error:
        raise PresetError(f"preset {name}, {word}: {error}") from None
