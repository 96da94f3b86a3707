"""Users whose stored row is gone, or is not what its digest says: the log gives them back."""

from __future__ import annotations

import structlog
from nats.aio.client import Client
from prometheus_client import Counter

from services.feature.erasures import Erasures
from services.feature.fold_anew import fold_anew
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.state_store import StoredUser
from shared.domain.events.event_batch import EventBatch
from shared.domain.fold.state import State

_log = structlog.get_logger("damaged_users")
USERS_REBUILT = Counter(
    "freshet_users_rebuilt_total", "Users folded anew because their stored row was damaged."
)


class DamagedUsers:
    """Folds single users anew. It takes as long as reading their partition of the log."""

    def __init__(self, state: State, connection: Client, names: Names, erasures: Erasures) -> None:
        self._state = state
        self._connection = connection
        self._names = names
        self._erasures = erasures

    async def rebuild(self, user_key: int) -> StoredUser | None:
        """The user as of the position that the partition reflects; None when the log holds nothing of them."""
        _log.error("the stored state of a user is damaged; the log is folded anew", user_key=user_key)
        partition, after = user_key % self._state.settings.partitions, self._erasures.erased_at(user_key)
        anew = State(self._state.settings, [partition])

        def of_user(batch: EventBatch) -> EventBatch:
            return batch.take((batch.user_key == user_key) & (batch.position > after))

        to_position = self._state.positions[partition]
        await fold_anew(self._connection, self._names, anew, to_position, of_user)
        USERS_REBUILT.inc()
        return StoredUser(user_key, *anew.users.export(user_key)) if len(anew.users) else None
