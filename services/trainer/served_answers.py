"""Reads what became of the newest answers: exposures tell which model gave them, events bear their tokens."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from freshet.event.v1.event_pb2 import UserEvent
from freshet.log.v1.log_pb2 import Exposure
from services.trainer.click_through import ClickThrough, click_through
from services.trainer.roles import roles_of
from services.trainer.training_run import Tools
from shared.adapters.last_messages import messages_from
from shared.adapters.presets import load_preset
from shared.adapters.scanning import last_sequence

NEWEST_ANSWERS = 20_000
"""So many exposures are read, and as many events at the most; a rollback must not wait long for what is beside it."""


async def newest_answers(tools: Tools, domain: str) -> Mapping[str, ClickThrough]:
    """By model version. Raises what NATS and PostgreSQL raise while they are away."""
    stream, subject = tools.names.stream("EXPOSURES"), tools.names.subject("exposures.v1.*")
    first = await last_sequence(tools.connection, stream) - NEWEST_ANSWERS + 1
    stored = await messages_from(tools.connection, stream, subject, first, NEWEST_ANSWERS)
    exposures = [each for message in stored if (each := _exposure(message.payload))]
    shown = {each.attribution_token: each.model_version for each in exposures if each.model_version}
    if not shown:
        return {}
    types = roles_of(load_preset(domain)).target or frozenset()
    behind = min(each.position for each in exposures)
    events = await tools.archive.newest_of(types, behind, NEWEST_ANSWERS)
    return click_through(shown, {UserEvent.FromString(each).attribution_token for each in events})


def _exposure(payload: bytes) -> Exposure | None:
    try:
        return Exposure.FromString(payload)
    except DecodeError:
        return None
