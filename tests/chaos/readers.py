"""Readers that hold the services to their tokens while everything dies around them."""

from __future__ import annotations

import asyncio
from random import Random

from freshet.ranking.v1.ranking_pb2 import DegradedReason
from shared.client import FailedPrecondition, FreshetClient, FreshetError
from shared.client.patience import PASSING
from shared.domain.consistency import decode_token
from tests.chaos.ledger import Ledger, Token

CALL_SECONDS = 3.0
PAUSE_SECONDS = 0.05
TYPED = (*PASSING, FailedPrecondition)
STALE = DegradedReason.DEGRADED_REASON_FEATURES_UNAVAILABLE


class Readers:
    """Ask with tokens of acknowledged writes until cancelled. An answer reflects the token, says that it is degraded,
    or is a typed error; anything else is a violation."""

    def __init__(self, client: FreshetClient, ledger: Ledger, seed: int) -> None:
        self._client = client.with_options(timeout_seconds=CALL_SECONDS)
        self._ledger, self._seed = ledger, seed

    async def run(self) -> None:
        """Two readers of recommendations, one of features."""
        async with asyncio.TaskGroup() as readers:
            readers.create_task(self._read("recommend 0", self._recommend))
            readers.create_task(self._read("recommend 1", self._recommend))
            readers.create_task(self._read("features", self._features))

    async def _read(self, name, ask) -> None:
        random = Random(f"{name} {self._seed}")
        while True:
            if token := self._ledger.a_token(random):
                try:
                    await ask(token)
                except FreshetError as error:
                    self._note_error(name, error)
            await asyncio.sleep(PAUSE_SECONDS * random.random() * 2)

    def _note_error(self, name: str, error: FreshetError) -> None:
        self._ledger.answers[f"{name.split()[0]} {error.code.name}"] += 1
        if not isinstance(error, TYPED):
            self._ledger.violations.append(f"{name} failed with {error.code.name}: {error}")

    async def _recommend(self, token: Token) -> None:
        answer = await self._client.recommend(token.user_id, min_consistency_token=token.text)
        self._check("recommend", token, answer.consistency_token, STALE in answer.degraded)

    async def _features(self, token: Token) -> None:
        answer = await self._client.get_user_features(token.user_id, token.text)
        self._check("features", token, answer.consistency_token, degraded=False)

    def _check(self, name: str, token: Token, reflected: str, degraded: bool) -> None:
        position = decode_token(reflected).get(token.partition, 0)
        if position >= token.position:
            self._ledger.answers[f"{name} reflects its token"] += 1
        elif degraded:
            self._ledger.answers[f"{name} degraded"] += 1
        else:
            wrong = f"asked for {token}, reflects {position}, says nothing"
            self._ledger.violations.append(f"{name} is older than its token: {wrong}")
