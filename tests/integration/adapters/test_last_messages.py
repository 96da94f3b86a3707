"""Stored messages read straight from a stream, and a connection that broken headers do not cut."""

from __future__ import annotations

import asyncio

import pytest

from shared.adapters.jetstream.last_messages import MAX_ANSWER_BYTES, last_messages, messages_from
from tests.integration.namespaces import Namespace

pytestmark = pytest.mark.asyncio(loop_scope="session")
LARGE = b"x" * (MAX_ANSWER_BYTES // 7)
"""Ten take two answers."""


async def store(space: Namespace, key: int, payload: bytes) -> int:
    answer = await space.nats.jetstream().publish(space.names.item_subject(key), payload)
    return answer.seq


async def newest(space: Namespace, *keys: int) -> dict[str, bytes]:
    subjects = [space.names.item_subject(key) for key in keys]
    found = await last_messages(space.nats, space.names.events, subjects)
    return {subject.rsplit(".", 1)[1].lstrip("0"): message.payload for subject, message in found.items()}


async def test_the_newest_message_of_each_subject_is_found(space):
    for key, payload in ((1, b"old"), (2, b"two"), (1, b"new")):
        await store(space, key, payload)
    assert await newest(space, 1, 2, 3, 1) == {"1": b"new", "2": b"two"}


async def test_subjects_without_messages_are_no_error(space):
    assert await newest(space) == await newest(space, 7) == {}


async def test_an_answer_too_large_for_one_reply_is_complete(space):
    await asyncio.gather(*[store(space, key, LARGE) for key in range(1, 11)])
    assert len(await newest(space, *range(1, 21))) == 10


async def test_messages_too_large_for_one_reply_are_read_up_to_the_limit(space):
    positions = [await store(space, key, LARGE if key == 1 else b"other") for key in (1, 2) * 10][::2]
    found = await messages_from(space.nats, space.names.events, space.names.item_subject(1), 1, 9)
    assert [each.position for each in found] == positions[:9]


async def test_messages_are_read_from_a_position_on(space):
    positions = [await store(space, 1, b"%d" % number) for number in range(5)]
    subject = space.names.item_subject(1)
    found = await messages_from(space.nats, space.names.events, subject, positions[2], 2)
    assert [(each.position, each.payload) for each in found] == [(positions[2], b"2"), (positions[3], b"3")]
    assert await messages_from(space.nats, space.names.events, subject, positions[-1] + 1, 2) == []
