"""Reads what became of the newest answers: exposures tell which model gave them, events bear their tokens."""

from __future__ import annotations

from collections.abc import Mapping

from freshet.event.v1.event_pb2 import UserEvent
from services.trainer.reading.exposure_reading import newest_exposures
from services.trainer.registry.click_through import ClickThrough, click_through
from services.trainer.roles import roles_of
from services.trainer.runs.training_run import Tools
from shared.adapters.presets import load_preset

NEWEST_EVENTS = 20_000
"""So many events are read at the most; a rollback must not wait long for what is beside it."""


async def newest_answers(tools: Tools, domain: str) -> Mapping[str, ClickThrough]:
    """By model version. Raises what NATS and PostgreSQL raise while they are away."""
    newest = (await newest_exposures(tools.connection, tools.names)).exposures
    answers = [each for each in newest if each.model_version]
    if not answers:
        return {}
    types = roles_of(load_preset(domain)).target or frozenset()
    behind = min(each.position for each in answers)
    events = await tools.archive.newest_of(types, behind, NEWEST_EVENTS)
    if len(events) == NEWEST_EVENTS:
        behind = events[-1][0] - 1  # what followed earlier answers was not read, or not all of it
    shown = {each.attribution_token: each.model_version for each in answers if each.position >= behind}
    return click_through(shown, {UserEvent.FromString(payload).attribution_token for _, payload in events})
