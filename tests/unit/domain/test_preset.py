"""Domain presets: the shipped ones, and what is said about wrong ones."""

from __future__ import annotations

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
        ({"click": {}}, "events without a meaning: view-item-list"),
    ],
)
def test_a_wrong_preset_is_refused_and_the_place_named(events, complaint):
    with pytest.raises(PresetError, match=complaint):
        DomainPreset.from_mapping("mine", {"events": events})


def test_an_unknown_key_at_the_top_is_named():
    with pytest.raises(PresetError, match=r"unknown keys \['placement'\]"):
        DomainPreset.from_mapping("mine", {"events": COMPLETE, "placement": []})


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(PresetError, match="e-commerce"):
        load_preset("banking")


def test_a_file_of_ones_own_is_a_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "events:\n" + "".join(f"  {event_type.word}: {{weight: 2}}\n" for event_type in EventType)
    )
    assert load_preset(str(file)).weight[EventType.CLICK] == 2
