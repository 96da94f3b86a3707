"""A champion that does worse than its predecessor on later traffic is rolled back, and no other is."""

from __future__ import annotations

import psutil
import pytest
import pytest_asyncio

from freshet.log.v1.log_pb2 import Exposure
from freshet.trainer.v1 import trainer_pb2 as api
from services.trainer.processes.evaluation_jobs import Failed, PairJob
from services.trainer.reading.exposure_reading import keep_exposures
from services.trainer.registry import rollback_watch, served_answers
from services.trainer.registry.promoting import NotPromotableError, Promoting
from services.trainer.registry.rollback_watch import RollbackWatch
from services.trainer.registry.served_answers import newest_answers
from services.trainer.settings import TrainerSettings
from tests.conditions import eventually
from tests.integration.trainer.favourites import champion_of, favouring, newest_announcement, registered
from tests.integration.trainer.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")
USERS, BEFORE, LATER = 60, range(10), range(20, 30)
GOOD, BAD = favouring(LATER, log_to=USERS), favouring(range(40, 50), log_to=USERS)


def visits(items: range) -> list[tuple[str, str]]:
    """Each user rates one of the items."""
    return [(f"user {user}", f"item {items[user % len(items)]}") for user in range(USERS)]


@pytest_asyncio.fixture(loop_scope="session")
async def world(new_world) -> World:
    """Everybody has rated one item, and later another one."""
    made = await new_world()
    await made.happen(visits(BEFORE))
    await made.happen(visits(LATER), tokens=["good 0", "good 1", "bad 0"])
    return made


async def exposed(world: World, version: str, tokens: list[str], position: int = USERS) -> None:
    """Answers of a model, each with its token."""
    for token in tokens:
        exposure = Exposure(attribution_token=token, model_version=version, position=position)
        subject = world.names.subject("exposures.v1.0")
        await world.nats.jetstream().publish(subject, exposure.SerializeToString())


class SomeRuns:
    """Runs of which one goes on or not, as the test says: the first `free` looks find none."""

    recovered = True

    def __init__(self, free: int = 1 << 30) -> None:
        self._free = free

    @property
    def running(self) -> bool:
        self._free -= 1
        return self._free < 0


def watching(world: World, runs: SomeRuns) -> RollbackWatch:
    """A watch that is asked by hand."""
    settings = TrainerSettings(
        nats_url=world.brokers.nats_url,
        database_url=world.brokers.database_url,
        namespace=world.namespace,
        domain="video",
        train_threads=1,
        train_niceness=0,
        rollback_min_judged_users=30,
    )
    tools = world.tools()
    return RollbackWatch(tools, settings, runs, Promoting(tools))


def judges() -> list[psutil.Process]:
    """Processes of this one that judge."""
    return [
        each for each in psutil.Process().children() if "services.trainer.judging.evaluator" in each.cmdline()
    ]


async def test_a_champion_that_does_worse_is_rolled_back_and_the_record_says_why(world):
    predecessor, champion = [await registered(world, made) for made in (GOOD, BAD)]
    await exposed(world, predecessor, [f"good {number}" for number in range(4)])
    await exposed(world, champion, [f"bad {number}" for number in range(8)])
    settings = {"rollback_check_seconds": "0.2", "rollback_min_judged_users": "30"}
    async with world.trainer(**settings) as trainer:

        async def returned() -> bool:
            return (await newest_announcement(world)).model_version == predecessor

        await eventually(returned, timeout=60.0)
        models = (await trainer.stub.ListModels(api.ListModelsRequest(), wait_for_ready=True)).models
    assert [(each.model_version, each.champion, each.rolled_back) for each in models] == [
        (champion, False, True),
        (predecessor, True, False),
    ]
    newest = models[1].promotions[0]
    assert newest.cause == api.PROMOTION_CAUSE_AUTOMATIC_ROLLBACK
    assert f"champion {champion} does worse online than its predecessor {predecessor}" in newest.reason
    assert f"NDCG@10 0.2391 against 0.4544 on {USERS} users" in newest.reason
    assert newest.reason.endswith(
        "; of its answers 12.5% of 8 led to an event, of the predecessor's 50.0% of 4"
    )
    assert (await newest_announcement(world)).reason == newest.reason


async def test_a_champion_that_does_better_stays_and_is_looked_at_again_only_with_more_traffic(world):
    await registered(world, BAD)
    champion = await registered(world, GOOD)
    watch = watching(world, SomeRuns())
    first = await watch.check()
    assert (first.rolled_back, await champion_of(world)) == (False, champion)
    assert "does better online" in first.reason
    assert await watch.check() is None
    await world.happen(visits(range(30, 40)))
    assert (await watch.check()).rolled_back is False


async def test_a_champion_that_does_alike_stays(world):
    await registered(world, GOOD)
    champion = await registered(world, favouring(LATER, log_to=USERS, documents=False))
    verdict = await watching(world, SomeRuns()).check()
    assert (verdict.rolled_back, await champion_of(world)) == (False, champion)
    assert "not clearly worse" in verdict.reason


async def test_what_one_of_both_has_learned_judges_neither(world):
    await registered(world, favouring(LATER, log_to=2 * USERS))
    await registered(world, BAD)
    assert await watching(world, SomeRuns()).check() is None


async def test_a_champion_without_a_predecessor_that_is_stored_is_let_be(world):
    await registered(world, favouring([50], log_to=USERS), stored=False)
    champion = await registered(world, BAD)
    with pytest.raises(NotPromotableError, match="no longer stored"):
        await watching(world, SomeRuns()).check()
    assert await champion_of(world) == champion


async def test_beside_a_run_nobody_is_judged(world):
    await registered(world, GOOD)
    champion = await registered(world, BAD)
    assert await watching(world, SomeRuns(free=0)).check() is None
    assert await champion_of(world) == champion


async def test_a_run_that_begins_ends_the_judging(world):
    await registered(world, GOOD)
    champion = await registered(world, BAD)
    assert await watching(world, SomeRuns(free=2)).check() is None
    assert (await champion_of(world), judges()) == (champion, [])


async def test_what_came_behind_the_exposures_that_were_read_does_not_judge(world, monkeypatch):
    """What was shown for it is not known."""
    for made in (GOOD, BAD):
        await registered(world, made)
    before, jobs = await world.archive.position(), []

    async def keep_and_go_on(connection, names, directory) -> None:
        await keep_exposures(connection, names, directory)
        await world.happen(visits(range(30, 40)))

    async def noted(job: PairJob) -> Failed:
        jobs.append(job)
        return Failed("it is enough to know the job")

    monkeypatch.setattr(rollback_watch, "keep_exposures", keep_and_go_on)
    monkeypatch.setattr(rollback_watch, "judged", noted)
    await watching(world, SomeRuns()).check()
    assert [job.to_position for job in jobs] == [before]


async def test_answers_that_the_events_read_do_not_reach_back_to_count_for_nobody(world, monkeypatch):
    """Whether an event followed them is not known."""
    await exposed(world, "older", ["good 0", "good 1"])
    await exposed(world, "newer", ["new 0", "new 1"], 2 * USERS)
    await world.happen(visits(range(30, 40)), tokens=["new 1"])
    tools = world.tools()
    assert await newest_answers(tools, "video") == {"older": (2, 2), "newer": (2, 1)}
    monkeypatch.setattr(served_answers, "NEWEST_EVENTS", USERS)
    assert await newest_answers(tools, "video") == {"newer": (2, 1)}
