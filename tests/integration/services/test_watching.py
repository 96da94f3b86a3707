"""`WatchUserFeatures`: each change of one user and of nobody else, until the service goes down."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from freshet.catalog.v1.user_pb2 import User
from shared.client import Unavailable
from tests.builders import message
from tests.integration.services.feature_calls import put_in_log, watching, written

pytestmark = pytest.mark.asyncio(loop_scope="session")
SILENCE_SECONDS = 30.0
"""The SDK asks after 10 seconds, and waits 10 for an answer."""


async def test_a_watch_tells_the_present_and_then_each_change(features):
    await features.client.get_user_features("seen", await written(features, [message(user_id="seen")]))
    told = []
    async with watching(features, "seen") as answers:
        for _ in range(4):
            told.append((await anext(answers)).event_counts["click"])
            await written(features, [message(user_id="seen")])
    assert told == [1, 2, 3, 4]


async def test_what_a_watch_tells_is_what_is_answered_at_that_position(features):
    async with watching(features, "same") as answers:
        await anext(answers)
        token = await written(features, [message("rate", "same")])
        assert await anext(answers) == await features.client.get_user_features("same", token)


async def test_another_user_and_a_repeated_event_are_no_change(features):
    once = message(user_id="alone", event_id="alone-once")
    async with watching(features, "alone") as answers:
        await anext(answers)
        await written(features, [once])
        first = await anext(answers)
        await written(features, [message(user_id=f"crowd-{each}") for each in range(50)])
        await put_in_log(features, once)
        last = (await features.client.write_user_event(message("rate", "alone"))).consistency_token
        assert (await anext(answers)).consistency_token == last
    assert dict(first.event_counts) == {"click": 1}


async def test_the_watcher_of_an_erased_user_sees_somebody_unknown(features):
    await features.client.upsert_users([User(user_id="wiped", country="BR")])
    await features.client.get_user_features("wiped", await written(features, [message(user_id="wiped")]))
    async with watching(features, "wiped") as answers:
        await anext(answers)
        await features.client.erase_user("wiped")
        after = await anext(answers)
    assert (dict(after.event_counts), list(after.history), after.HasField("profile")) == ({}, [], False)


async def test_a_watch_ends_when_the_service_drains_and_says_when_to_watch_again(features):
    async with watching(features, "draining") as answers:
        await anext(answers)
        await features.suite.restart("feature")
        with pytest.raises(Unavailable) as caught:
            await anext(answers)
    assert (caught.value.reason, caught.value.retry_delay_seconds) == ("DRAINING", 0.2)
    async with watching(features, "draining") as answers:
        assert not (await anext(answers)).history


async def test_a_watch_ends_when_the_service_is_not_heard_of_any_more(features):
    patient = features.client.with_options(timeout_seconds=300)
    async with aclosing(patient.watch_user_features("silent")) as answers:
        await anext(answers)
        features.suite.service("feature").pause()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                with pytest.raises(Unavailable):
                    await anext(answers)
        finally:
            features.suite.service("feature").resume()


async def test_a_watch_to_which_nothing_happens_goes_on(features):
    patient = features.client.with_options(timeout_seconds=300)
    async with aclosing(patient.watch_user_features("still")) as answers:
        await anext(answers)
        waiting = asyncio.ensure_future(anext(answers))
        done, _ = await asyncio.wait([waiting], timeout=SILENCE_SECONDS)
        assert not done
        token = await written(features, [message(user_id="still")])
        assert (await waiting).user_features.consistency_token == token
