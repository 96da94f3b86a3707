"""Who becomes champion outside of training: who is asked for, or the champion before.

As in publishing, order is what keeps a crash harmless: one transaction decides, and those who serve are told behind it;
a crash in between leaves a champion that nobody was told of, and the next start tells them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from services.trainer.registry.model_evaluations import UnknownModelError
from services.trainer.registry.stored_models import NotStoredError, intact_bundle
from services.trainer.runs.publishing import PROMOTIONS
from services.trainer.runs.training_run import Tools
from shared.adapters.postgres.database import UNAVAILABLE
from shared.adapters.postgres.promotions import ChampionChangedError
from shared.adapters.postgres.registry import RegisteredModel
from shared.domain.models.promotions import ROLLBACKS, Cause, Promotion, predecessors

_log = structlog.get_logger("promoting")
_MOST_TOLD = 5
"""Of the models that a rollback has passed over."""


class NotPromotableError(Exception):
    """No model becomes champion; the message is a sentence. kind: a stable word for programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class RollbackWish(NamedTuple):
    """Why to roll back. model_version: the champion that is meant, empty for any. request_id: the same one rolls back
    once; empty for none."""

    reason: str
    model_version: str = ""
    request_id: str = ""


class Pair(NamedTuple):
    """The champion, and the model that a rollback returns to."""

    champion: RegisteredModel
    predecessor: RegisteredModel


class Promoting:
    """Decides in the registry, then tells. All of it raises what PostgreSQL raises, and StillAwayError while the bundle
    store is away.

    choosing: held from the look whether a bundle is stored to the decision, so that nobody deletes it in between.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.choosing = asyncio.Lock()
        self._deciding = set[asyncio.Task[bool]]()

    async def promote(self, model_version: str, reason: str) -> bool:
        """Make a model champion; False when it is already. Raises UnknownModelError, NotPromotableError."""
        async with self.choosing:
            return await self._promote(model_version, reason)

    async def _promote(self, model_version: str, reason: str) -> bool:
        if (model := await self._tools.registry.model(model_version)) is None:
            raise UnknownModelError(f"there is no model {model_version[:64]!r}")
        try:
            await intact_bundle(self._tools.store, model)
        except NotStoredError as error:
            raise NotPromotableError("BUNDLE_NOT_STORED", str(error)) from error
        champion = await self._tools.registry.champion()
        displaced = champion.model_version if champion else ""
        return await self._decide(Promotion(model_version, Cause.REQUEST, reason, displaced, _now()))

    async def roll_back(self, wish: RollbackWish) -> Promotion:
        """Return to the champion before, or name the decision that the same wish has led to already. Raises
        NotPromotableError."""
        async with self.choosing:
            return await self._roll_back(wish)

    async def _roll_back(self, wish: RollbackWish) -> Promotion:
        # The champion first: a decision that falls in between is then found in the history.
        champion = await self._tools.registry.champion()
        history = await self._tools.registry.promotions.history()
        if known := _done_already(history, wish):
            await self._tools.publisher.tell()
            return known
        if champion is None:
            raise NotPromotableError("NO_CHAMPION", "there is no champion yet")
        if wish.model_version not in ("", champion.model_version):
            text = f"the champion is {champion.model_version}, not {wish.model_version[:64]!r}"
            raise NotPromotableError("NOT_THE_CHAMPION", text)
        pair = await self._pair(champion, history)
        try:
            return await self._return(pair, Cause.ROLLBACK, wish.reason, wish.request_id)
        except NotPromotableError:  # by the same wish, perhaps, asked for twice at once
            if known := _done_already(await self._tools.registry.promotions.history(), wish):
                return known
            raise

    async def roll_back_automatically(self, pair: Pair, reason: str) -> Promotion:
        """Return to a predecessor that was judged. Raises NotPromotableError when it is not the one to return to any
        more."""
        async with self.choosing:
            if await self.pair() != pair:
                raise NotPromotableError("CHAMPION_CHANGED", "another decision came first")
            return await self._return(pair, Cause.AUTOMATIC_ROLLBACK, reason)

    async def pair(self) -> Pair:
        """The champion and the model that a rollback would return to now. Raises NotPromotableError."""
        champion = await self._tools.registry.champion()
        if champion is None:
            raise NotPromotableError("NO_CHAMPION", "there is no champion yet")
        return await self._pair(champion, await self._tools.registry.promotions.history())

    async def _pair(self, champion: RegisteredModel, history: Sequence[Promotion]) -> Pair:
        """Decision: what cannot be returned to is passed over, since an older champion is better than a bad one. A
        model that learned of an erased user does not displace one that did not, unless it is asked for by name. Marks
        are asked for one by one: of all champions that there ever were they are too many."""
        borne = await self._marks(champion.model_version)
        passed_over = []
        for version in predecessors(history):
            if await self._marks(version) - borne:
                passed_over.append(
                    f"{version} may have learned from an erased user, which the champion has not"
                )
                continue
            try:
                return Pair(champion, await self._stored(version))
            except NotStoredError as error:
                passed_over.append(str(error))
        text = f"there is no champion before {champion.model_version} to return to"
        raise NotPromotableError("NO_PREDECESSOR", "; ".join([text, *_first(passed_over)]))

    async def _marks(self, version: str) -> set[str]:
        marks = await self._tools.erasures.receipts_of([version])
        return set(marks.get(version, ()))

    async def _stored(self, version: str) -> RegisteredModel:
        model = await self._tools.registry.model(version)
        if model is None:
            raise NotStoredError(f"{version} is no longer registered")
        await intact_bundle(self._tools.store, model)
        return model

    async def _return(self, pair: Pair, cause: Cause, reason: str, request_id: str = "") -> Promotion:
        champion, predecessor = (each.model_version for each in pair)
        promotion = Promotion(predecessor, cause, reason, champion, _now(), request_id)
        if not await self._decide(promotion):
            raise NotPromotableError("CHAMPION_CHANGED", f"{predecessor} has become champion meanwhile")
        return promotion

    async def _decide(self, promotion: Promotion) -> bool:
        """Whether the champion has changed by this. What is decided is told, also when the caller has gone. Raises
        NotPromotableError."""
        deciding = asyncio.create_task(self._decide_and_tell(promotion))
        self._deciding.add(deciding)
        deciding.add_done_callback(self._deciding.discard)
        return await asyncio.shield(deciding)

    async def _decide_and_tell(self, promotion: Promotion) -> bool:
        try:
            changed = await self._tools.registry.promotions.promote(promotion)
        except ChampionChangedError as error:
            raise NotPromotableError("CHAMPION_CHANGED", f"{error}: another decision came first") from error
        except UNAVAILABLE:
            await self._tools.publisher.tell(0.0)  # the answer may be what was lost, not the decision
            raise
        if changed:
            PROMOTIONS.labels(promotion.cause).inc()
            _log.warning(
                "champion changed",
                model_version=promotion.model_version,
                cause=promotion.cause.value,
                displaced=promotion.displaced,
                reason=promotion.reason,
            )
        await self._tools.publisher.tell()
        return changed


def _first(reasons: Sequence[str]) -> list[str]:
    """The first few: a refusal has room for some thousand characters."""
    more = len(reasons) - _MOST_TOLD
    return [*reasons[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]


def _done_already(history: Sequence[Promotion], wish: RollbackWish) -> Promotion | None:
    """The rollback that this wish has led to: of the same request, or the newest decision, if it rolled back the
    champion that is meant."""
    if wish.request_id:
        same = (each for each in history if each.request_id == wish.request_id)
        if known := next(same, None):
            return known
    newest = history[-1] if history else None
    meant = newest is not None and newest.cause in ROLLBACKS and newest.displaced == wish.model_version
    return newest if meant and wish.model_version else None


def _now() -> datetime:
    return datetime.now(UTC)
