"""What may come between the look at a model and the decision for it, and between the decision and its telling."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import pytest_asyncio

from services.trainer.registry.bundle_retention import BundleRetention
from services.trainer.registry.promoting import Promoting, RollbackWish
from services.trainer.runs.training_run import Tools
from shared.adapters.jetstream.bundle_store import NatsBundleStore
from shared.domain.models.promotions import Promotion
from tests.conditions import eventually
from tests.integration.trainer.favourites import favouring, newest_announcement, registered
from tests.integration.trainer.test_rollback_watch import SomeRuns
from tests.integration.trainer.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")
_CHANCE_SECONDS = 2.0
WISH = RollbackWish("fewer clicks")


class WatchedStore(NatsBundleStore):
    """Gives retention the chance to delete bundles whenever one has been looked at."""

    retention: BundleRetention
    deleting: asyncio.Task[None] | None = None

    async def get(self, digest: str) -> bytes:
        packed = await super().get(digest)
        self.deleting = self.deleting or asyncio.create_task(self.retention.delete_old())
        await asyncio.wait({self.deleting}, timeout=_CHANCE_SECONDS)
        return packed


def promoting(world: World, store: NatsBundleStore) -> tuple[Tools, Promoting]:
    tools = world.tools(store)
    return tools, Promoting(tools)


@pytest_asyncio.fixture(loop_scope="session")
async def world(new_world) -> World:
    return await new_world()


@pytest.mark.parametrize("automatic", [False, True])
async def test_no_bundle_is_deleted_between_the_look_at_it_and_the_rollback_to_it(world, automatic):
    await registered(world, favouring([1]))
    await registered(world, favouring([2]), stored=False)
    await registered(world, favouring([3]))
    store = WatchedStore(world.nats, world.names)
    tools, decides = promoting(world, store)
    pair = await promoting(world, NatsBundleStore(world.nats, world.names))[1].pair()
    store.retention = BundleRetention(tools, SomeRuns(), decides, most=1)
    await (decides.roll_back_automatically(pair, "worse") if automatic else decides.roll_back(WISH))
    await store.deleting
    champion = await world.registry.champion()
    assert champion.model_version == pair.predecessor.model_version
    assert champion.bundle_digest in await store.digests()


async def test_a_decision_whose_answer_was_lost_is_told_all_the_same(world, monkeypatch):
    first, _ = [await registered(world, favouring([number])) for number in (1, 2)]
    tools, decides = promoting(world, NatsBundleStore(world.nats, world.names))
    await tools.publisher.tell()
    promotions = tools.registry.promotions
    decided = promotions.promote

    async def cut_off(promotion: Promotion) -> bool:
        await decided(promotion)
        raise ConnectionError("the connection broke as the transaction ended")

    monkeypatch.setattr(promotions, "promote", cut_off)
    with pytest.raises(ConnectionError):
        await decides.roll_back(WISH)

    async def told() -> bool:
        return (await newest_announcement(world)).model_version == first

    await eventually(told)


async def test_no_more_models_are_asked_for_their_marks_than_it_takes(world, monkeypatch):
    """All champions there ever were, times all erasures, are too many rows to hold."""
    versions = [await registered(world, favouring([number])) for number in range(4)]
    tools, decides = promoting(world, NatsBundleStore(world.nats, world.names))
    asked, receipts_of = list[str](), tools.erasures.receipts_of

    async def noted(of: Sequence[str]) -> dict[str, list[str]]:
        asked.extend(of)
        return await receipts_of(of)

    monkeypatch.setattr(tools.erasures, "receipts_of", noted)
    assert (await decides.pair()).predecessor.model_version == versions[2]
    assert sorted(asked) == sorted(versions[2:])
