"""Domain presets: the shipped ones, and what is said about wrong ones."""

from __future__ import annotations

import math

import pytest

from shared.adapters.presets import load_preset, shipped_presets
from shared.domain.events.event import EventType
from shared.domain.presets.preset import DomainPreset, PresetError

COMPLETE = {event_type.word: {} for event_type in EventType}
SHIPPED = ["ads", "e-commerce", "education", "music", "social", "support", "video"]


def test_the_seven_domains_are_shipped():
    assert shipped_presets() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_gives_every_event_type_a_meaning(name):
    preset = load_preset(name)
    assert set(preset.meanings) == set(EventType)
    assert preset.placements


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_tells_likes_from_dislikes(name):
    preset = load_preset(name)
    assert preset.weight[EventType.LIKE] > 0 > preset.weight[EventType.DISLIKE]
    assert preset.consumes.any()
    assert preset.weight[0] == 0 and not preset.in_history[0]


@pytest.mark.parametrize(
    "events, complaint",
    [
        ({**COMPLETE, "stare": {}}, "'stare' is no event type"),
        ({**COMPLETE, "click": {"wight": 1}}, r"click: unknown keys \['wight'\]"),
        ({**COMPLETE, "click": {"half_life_days": 0}}, "click: half_life_seconds must be above 0"),
        ({**COMPLETE, "click": {"consumes": True, "in_history": False}}, "click: consumes needs in_history"),
        ({**COMPLETE, "click": {"weight": "high"}}, "click: weight must be a number, not 'high'"),
        ({**COMPLETE, "click": {"weight": True}}, "click: weight must be a number, not True"),
        ({**COMPLETE, "click": {"weight": math.nan}}, "click: weight must be from -1000 to 1000, not nan"),
        ({**COMPLETE, "click": {"weight": 1e9}}, "click: weight must be from -1000 to 1000"),
        ({**COMPLETE, "click": {"half_life_days": "3"}}, "click: half_life_days must be a number, not '3'"),
        ({**COMPLETE, "click": {"half_life_days": None}}, "click: half_life_days must be a number, not None"),
        ({**COMPLETE, "click": {"half_life_seconds": math.nan}}, "click: half_life_seconds must be above 0"),
        ({**COMPLETE, "click": {"in_history": "no"}}, "click: in_history must be true or false, not 'no'"),
        ({**COMPLETE, "click": {"objective": 5}}, "click: objective must be a text, not 5"),
        ({**COMPLETE, "click": "high"}, "click: must hold parameters, not 'high'"),
        ({"click": {}}, "events without a meaning: view-item-list"),
        (None, "events must be types with their meanings, not None"),
    ],
)
def test_a_wrong_preset_is_refused_and_the_place_named(events, complaint):
    with pytest.raises(PresetError, match=complaint):
        DomainPreset.from_mapping("mine", {"events": events})


def test_an_unknown_key_at_the_top_is_named():
    with pytest.raises(PresetError, match=r"unknown keys \['placement'\]"):
        DomainPreset.from_mapping("mine", {"events": COMPLETE, "placement": []})


@pytest.mark.parametrize("content", [None, ["events"]])
def test_a_file_that_holds_no_preset_is_refused(content):
    with pytest.raises(PresetError, match="must hold placements, cleaning and events"):
        DomainPreset.from_mapping("mine", content)


def test_placements_are_a_list_of_texts():
    with pytest.raises(PresetError, match="placements must be a list of texts, not 'home'"):
        DomainPreset.from_mapping("mine", {"events": COMPLETE, "placements": "home"})


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(PresetError, match="e-commerce"):
        load_preset("banking")


def test_a_file_of_ones_own_is_a_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "events:\n" + "".join(f"  {event_type.word}: {{weight: 2}}\n" for event_type in EventType)
    )
    assert load_preset(str(file)).weight[EventType.CLICK] == 2
