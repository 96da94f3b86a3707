"""From events to a champion, and what it takes to follow it."""

import asyncio
import time

import grpc
import numpy as np
import onnxruntime
import pytest
import pytest_asyncio

from freshet.log.v1.log_pb2 import ModelEvent
from freshet.trainer.v1 import trainer_pb2 as api
from shared.adapters.codecs.bundle import Bundle, unpack
from shared.adapters.jetstream.bundle_store import NatsBundleStore
from shared.client import Addresses, FreshetClient
from shared.domain.models.manifest import ENCODER_INPUTS
from tests.integration.trainer.test_calls import refusal
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
        self.judged_without_traffic: tuple = ()
        self.judged_at_once: tuple = ()
        self.judged: list[api.EvaluateModelResponse] = []
        self.shown = api.GetModelResponse()

    async def watch_a_run(self, trainer: Trainer) -> None:
        """The first run, and the states its watch told of."""
        started = time.monotonic()
        run = await trainer.start()
        async for latest in trainer.watch(run.run_id):
            run = latest
            self.watched.append(run.state)
        self.watched_seconds = time.monotonic() - started
        self.runs.append(run)

    async def judge_the_champion(self, trainer: Trainer) -> None:
        """Two calls at once, of which one is refused, and then its whole stream, asked through the SDK."""
        calls = [trainer.stub.EvaluateModel(api.EvaluateModelRequest()) for _ in range(2)]
        codes = await asyncio.gather(*(call.code() for call in calls))
        self.judged_at_once = await refusal(calls[codes.index(grpc.StatusCode.RESOURCE_EXHAUSTED)])
        self.judged.append(await calls[codes.index(grpc.StatusCode.OK)])
        async with FreshetClient(Addresses(trainer=trainer.suite.address("trainer"))) as client:
            version, protocol = self.runs[0].model_version, api.EVALUATION_PROTOCOL_PREQUENTIAL
            self.judged.append(await client.evaluate_model(version, protocol))


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
        call = trainer.stub.EvaluateModel(api.EvaluateModelRequest())
        told.judged_without_traffic = await refusal(call)
        await world.happen(walks(range(100, 140), stride=17))
        await told.judge_the_champion(trainer)
        told.runs.append(await trainer.trained())
        told.models = list((await trainer.stub.ListModels(api.ListModelsRequest())).models)
        told.shown = await trainer.stub.GetModel(api.GetModelRequest(include_card=True))
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


async def test_models_tell_whom_they_were_compared_with_and_displaced(story):
    third, _, first = story.models
    assert (first.compared_with_version, third.compared_with_version) == ("", first.model_version)
    assert [each.displaced_model_version for each in third.promotions] == [first.model_version]
    assert [each.reason for each in third.promotions] == [third.decision.reason]


async def test_the_champions_card_tells_how_it_was_judged_beside_every_baseline_and_the_champion_before(
    story,
):
    card, third = story.shown.model_card, story.models[0]
    assert f"better than champion {story.runs[0].model_version}" in card
    rows = ("this model", "popular (", "recently-popular (", "rules (", "ease (", "champion ")
    assert all(f"| {row}" in card for row in rows)
    assert f"| this model | {third.metrics['ndcg@10']:.4f} [" in card
    assert story.shown.curves_png.startswith(b"\x89PNG")


async def test_every_decision_is_announced(story):
    world = story.world
    subscription = await world.nats.jetstream().subscribe(
        world.names.subject("models.v1.*"), stream=world.names.stream("MODELS"), ordered_consumer=True
    )
    heard = [ModelEvent.FromString((await subscription.next_msg(5)).data) for _ in story.runs]
    assert [event.model_version for event in heard] == [run.model_version for run in story.runs]
    assert [event.promoted for event in heard] == [True, False, True]


async def test_a_model_is_not_judged_by_what_it_has_learned(story):
    code, details = story.judged_without_traffic
    assert (code, details[0].reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_JUDGEABLE")


async def test_while_one_model_is_judged_another_has_to_wait(story):
    code, details = story.judged_at_once
    assert (code, details[0].reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "ALREADY_JUDGING")
    assert details[1].retry_delay.seconds > 0


async def test_the_champion_is_judged_by_each_users_next_event(story):
    answer = story.judged[0]
    assert (answer.model_version, answer.protocol) == (
        story.runs[0].model_version,
        api.EVALUATION_PROTOCOL_TEMPORAL,
    )
    assert (answer.learned_to_position, answer.judged_to_position) == (640, 1280)
    assert (answer.question_count, answer.user_count, answer.item_count) == (40, 40, ITEMS)


async def test_the_model_stands_beside_the_baselines_with_intervals(story):
    answer = story.judged[0]
    assert [each.name for each in answer.standings if not each.baseline] == [answer.model_version]
    assert {"popular", "recently-popular"} <= {each.name for each in answer.standings}
    assert all(each.overall.ndcg.low <= each.overall.ndcg.high for each in answer.standings)
    assert answer.verdict.startswith(f"{answer.model_version} ")
    assert "the best baseline" in answer.verdict


async def test_a_registered_model_is_asked_for_every_later_event_and_learns_none(story):
    answer = story.judged[1]
    modes = {each.mode for each in answer.standings if each.name == answer.model_version}
    assert (answer.question_count, modes) == (640, {"frozen", "stale"})
    gains = [gain.of for gain in answer.gains if gain.name == answer.model_version]
    assert gains == ["live history", "best baseline"]
