"""Models made by hand, each of which recommends a few favourites to everybody; training them takes no time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from freshet.log.v1.log_pb2 import ModelEvent
from shared.adapters.codecs.bundle import CARD, CURVES, Bundle, pack
from shared.adapters.codecs.keys import item_keys
from shared.adapters.jetstream.bundle_store import NatsBundleStore
from shared.adapters.postgres.registry import RegisteredModel
from tests.builders import bundle
from tests.integration.trainer.world import ITEMS, World
from tests.unit.ranking.model import golden, sum_encoder

DAY = datetime(2025, 1, 1, tzinfo=UTC)
RING = [f"item {number}" for number in range(ITEMS)]
DOCUMENTS = {CARD: b"# By hand\n", CURVES: b"a picture"}


def favouring(favourites: Iterable[int], log_to: int = 1, documents: bool = True) -> Bundle:
    """A model that scores items by a bias alone. favourites: numbers of the items that it puts on top."""
    made = bundle(RING, dimension=4, encoder=sum_encoder())
    liked = np.isin(made.item_keys, item_keys([RING[number] for number in favourites]))
    return replace(
        made,
        manifest=replace(made.manifest, log_to=log_to),
        item_vectors=np.zeros((ITEMS, 4), np.float32),
        item_biases=liked.astype(np.float32),
        golden={**golden(), "user_vector": np.full((1, 4), 2, np.float32)},
        documents=DOCUMENTS if documents else {},
    )


async def registered(world: World, made: Bundle, champion: bool = True, stored: bool = True) -> str:
    """The version of a model that is registered as having learned up to its log's end, a day after the one before."""
    packed, sealed = pack(made)
    if stored:
        await NatsBundleStore(world.nats, world.names).put(sealed.digest, packed)
    number = len(await world.registry.list_models(1000))
    model = RegisteredModel(
        model_version=sealed.version,
        bundle_digest=sealed.digest,
        run_id=f"run {number}",
        create_time=DAY + timedelta(days=number),
        champion=champion,
        promoted=champion,
        reason="told",
        trained_to_position=made.manifest.log_to,
        item_count=ITEMS,
        metrics={"ndcg@10": 0.1},
    )
    await world.registry.register(model)
    return sealed.version


async def champion_of(world: World) -> str:
    """The champion's version; empty for none."""
    champion = await world.registry.champion()
    return champion.model_version if champion else ""


async def newest_announcement(world: World) -> ModelEvent:
    """What those who serve were told last."""
    stream, subject = world.names.stream("MODELS"), world.names.subject("models.v1.promoted")
    message = await world.nats.jetstream().get_last_msg(stream, subject)
    return ModelEvent.FromString(message.data)
