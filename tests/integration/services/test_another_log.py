"""NATS was set up anew, or restored from an older backup, while PostgreSQL went on."""

from __future__ import annotations

from contextlib import suppress

import pytest

from deploy.local.errors import EndedEarly
from shared.adapters.codecs.keys import partition_of, user_key
from shared.adapters.jetstream.streams import ensure_streams
from shared.client import FreshetError
from shared.domain.owners import DEFAULT_PARTITIONS
from shared.domain.stream_settings import StreamSettings
from tests.builders import message
from tests.conditions import eventually
from tests.integration.namespaces import SMALL
from tests.integration.services.conftest import Running
from tests.integration.services.feature_calls import archived, number_of_users, written

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def made_anew(running: Running) -> None:
    """The log, with nothing in it."""
    await running.space.nats.jetstream().delete_stream(running.space.names.events)
    await ensure_streams(running.space.nats, running.space.names, StreamSettings(retention=SMALL))


async def with_another_log(running: Running, user_id: str) -> None:
    """Services at rest, and a log that holds a click of this user alone."""
    for service in running.suite.settings.services:
        await running.suite.stop(service)
    await made_anew(running)
    names, jetstream = running.space.names, running.space.nats.jetstream()
    subject = names.event_subject(partition_of(user_key(user_id), DEFAULT_PARTITIONS), "click")
    await jetstream.publish(subject, message("click", user_id, event_id="first").SerializeToString())


async def test_features_are_those_of_the_log_that_is_there(start):
    running = await start("ingestion", "feature")
    before = await written(running, [message("rate", "old") for _ in range(9)])
    assert await number_of_users(running, before) == 1
    await with_another_log(running, "new")
    await running.suite.start("feature")
    counts = [(await running.client.get_user_features(user)).event_counts for user in ("old", "new")]
    assert [dict(each) for each in counts] == [{}, {"click": 1}]


async def test_an_archive_of_another_log_is_refused_with_what_to_do(start):
    running = await start("ingestion")
    await written(running, [message("rate", "old") for _ in range(9)])
    await archived(running, await running.log_length())
    await with_another_log(running, "new")
    with suppress(EndedEarly):
        await running.suite.start("ingestion")
    child = running.suite.service("ingestion").child
    await eventually(lambda: child.returncode is not None)
    assert (child.returncode, "another FRESHET_NAMESPACE" in child.log_tail()) == (2, True)


async def test_a_service_under_which_the_log_was_made_anew_acknowledges_nothing_and_ends(start):
    running = await start("ingestion", "feature")
    await written(running, [message("rate", "old") for _ in range(9)])
    await made_anew(running)
    with pytest.raises(FreshetError):
        await running.client.with_options(timeout_seconds=3).write_user_event(message("click", "new"))
    for service in running.suite.settings.services:
        child = running.suite.service(service).child
        await eventually(lambda child=child: child.returncode is not None)
        assert (child.returncode, "ends at" in child.log_tail()) == (2, True)
