"""A user whose stored row is gone, and whose partition of the log takes longer to fold than a reader waits."""

from __future__ import annotations

import numpy as np
import pytest

from services.feature.absent_users import AbsentUsers
from services.feature.damaged_users import DamagedUsers
from services.feature.erasures import Erasures
from services.feature.fold_anew import fold_anew
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.log_writer import Record
from shared.adapters.postgres.state_store import StateStore
from shared.domain.fold.state import State
from shared.runtime.errors import Refusal
from tests.builders import message, state
from tests.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVENTS, SECONDS = 10_000, 0.3
ANN = np.array([user_key("ann")], np.uint64)


async def with_ann_away(space, writer) -> State:
    """The state of a log in which she has rated many items; nothing of her is stored."""
    events = [message("rate", "ann", [f"i{n}"], event_id=f"{n}") for n in range(EVENTS)]
    subject = space.names.event_subject(0, "rate")
    await writer.append([Record(subject, each.event_id, each.SerializeToString()) for each in events])
    folded = state(partitions=1)
    await fold_anew(space.nats, space.names, folded, EVENTS)
    folded.users.changed_rows()
    folded.users.let_go(ANN)
    return folded


async def test_who_asks_again_finds_the_user(space, writer):
    folded = await with_ann_away(space, writer)
    erasures = Erasures(folded, space.nats, space.names)
    damaged = DamagedUsers(folded, space.nats, space.names, erasures)
    absent = AbsentUsers(folded, StateStore(space.engine, "fold 1"), damaged)
    reasons = []

    async def back() -> bool:
        try:
            await absent.bring_back(ANN, SECONDS)
        except Refusal as refusal:
            reasons.append(refusal.reason)
        return not folded.users.away.among(ANN).any()

    await eventually(back)
    assert "STATE_DAMAGED" in reasons
    assert int(folded.users.read(int(ANN[0])).event_count.sum()) == EVENTS
