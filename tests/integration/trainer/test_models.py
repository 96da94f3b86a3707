"""From events to a champion, and what it takes to follow it."""

import time

import numpy as np
import onnxruntime
import pytest
import pytest_asyncio

from freshet.log.v1.log_pb2 import ModelEvent
from freshet.trainer.v1 import trainer_pb2 as api
from shared.adapters.bundle import Bundle, unpack
from shared.adapters.bundle_store import NatsBundleStore
from shared.domain.manifest import ENCODER_INPUTS
from tests.integration.trainer.world import ITEMS, Trainer, walks

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Story:
    """A first run, a second one without new traffic, and a third after people have changed their ways."""

    def __init__(self, world) -> None:
        self.world = world
        self.runs: list[api.TrainingRun] = []
        self.watched: list[int] = []
        self.watched_seconds = 0.0
        self.models: list[api.Model] = []
        self.bundle: Bundle | None = None

    async def watch_a_run(self, trainer: Trainer) -> None:
        """The first run, and the states its watch told of."""
        started = time.monotonic()
        run = await trainer.start()
        async for latest in trainer.watch(run.run_id):
            run = latest
            self.watched.append(run.state)
        self.watched_seconds = time.monotonic() - started
        self.runs.append(run)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def story(new_world):
    world = await new_world()
    told = Story(world)
    await world.happen(walks(range(40)))
    async with world.trainer() as trainer:
        await told.watch_a_run(trainer)
        digest = (await world.registry.champion()).bundle_digest
        told.bundle = unpack(await NatsBundleStore(world.nats, world.names).get(digest))
        told.runs.append(await trainer.trained(max_minutes=0.02))
        await world.happen(walks(range(100, 140), stride=17))
        told.runs.append(await trainer.trained())
        told.models = list((await trainer.stub.ListModels(api.ListModelsRequest())).models)
    return told


async def test_a_first_model_that_beats_most_popular_becomes_champion(story):
    run = story.runs[0]
    assert run.state == api.TRAINING_STATE_SUCCEEDED, run.error
    assert run.decision.promoted, run.decision.reason
    assert run.metrics["ndcg@10"] > 2 * run.metrics["baseline/popular/ndcg@10"]


async def test_a_run_tells_what_it_learned_from(story):
    run = story.runs[0]
    assert (run.event_count, run.trained_to_position) == (640, 640)
    assert run.step == run.total_steps > 0
    assert run.trigger == api.TRAINING_TRIGGER_REQUEST
    assert run.HasField("end_time")


async def test_a_watch_tells_at_most_twice_a_second_and_ends_with_the_end(story):
    assert len(story.watched) <= 2 * story.watched_seconds + 1
    assert story.watched[-1] == api.TRAINING_STATE_SUCCEEDED
    assert {api.TRAINING_STATE_READING, api.TRAINING_STATE_TRAINING} <= set(story.watched)


async def test_the_champions_bundle_is_intact_and_its_manifest_tells_the_log_range(story):
    manifest = story.bundle.manifest
    assert story.bundle.version == story.runs[0].model_version
    assert (manifest.log_from, manifest.log_to, manifest.item_count) == (1, 640, ITEMS)
    assert manifest.code_revision


async def test_the_champions_encoder_gives_its_golden_output(story):
    bundle = story.bundle
    session = onnxruntime.InferenceSession(bundle.encoder, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: bundle.golden[name] for name in ENCODER_INPUTS})
    assert np.allclose(found, bundle.golden_output, atol=1e-4)


async def test_without_new_traffic_the_champion_stays(story):
    run = story.runs[1]
    assert run.state == api.TRAINING_STATE_SUCCEEDED, run.error
    assert not run.decision.promoted
    assert run.decision.reason.startswith("too little traffic later than both models' training")


async def test_a_model_that_has_learned_new_ways_follows_the_champion(story):
    run = story.runs[2]
    assert run.decision.promoted, run.decision.reason
    assert run.metrics["champion/ndcg@10"] < run.metrics["ndcg@10"]
    assert f"better than champion {story.runs[0].model_version}" in run.decision.reason


async def test_models_are_listed_the_newest_first_and_one_is_champion(story):
    assert [model.run_id for model in story.models] == [run.run_id for run in reversed(story.runs)]
    assert [model.champion for model in story.models] == [True, False, False]
    assert [model.decision.promoted for model in story.models] == [True, False, True]


async def test_every_decision_is_announced(story):
    world = story.world
    subscription = await world.nats.jetstream().subscribe(
        world.names.subject("models.v1.*"), stream=world.names.stream("MODELS"), ordered_consumer=True
    )
    heard = [ModelEvent.FromString((await subscription.next_msg(5)).data) for _ in story.runs]
    assert [event.model_version for event in heard] == [run.model_version for run in story.runs]
    assert [event.promoted for event in heard] == [True, False, True]
