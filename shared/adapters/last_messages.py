"""Reads stored messages straight from a stream, many with one request (nats-server 2.11 and newer)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.adapters.streams import StreamError

MAX_SUBJECTS = 1000
"""Of one request; the server allows 1,024."""
TIMEOUT_SECONDS = 5.0


class StoredMessage(NamedTuple):
    """One message of a stream. position: its sequence."""

    position: int
    subject: str
    payload: bytes


async def last_messages(connection: Client, stream: str, subjects: Sequence[str]) -> dict[str, StoredMessage]:
    """The newest message of each subject that has one, by subject; at most 1,000 subjects.

    Raises StreamError, TimeoutError, or what nats-py raises while NATS is away.
    """
    found: dict[str, StoredMessage] = {}
    wanted = list(dict.fromkeys(subjects))
    while wanted:
        part, behind = await _get(connection, stream, {"multi_last": wanted, "batch": MAX_SUBJECTS})
        found |= {message.subject: message for message in part}
        wanted = [subject for subject in wanted if subject not in found] if part and behind else []
    return found


async def messages_from(
    connection: Client, stream: str, subject: str, start: int, limit: int
) -> list[StoredMessage]:
    """Messages on `subject` from position `start` on, in order: at most `limit`, fewer when they are large, none at
    the end. Raises like `last_messages`."""
    request = {"seq": max(1, start), "batch": limit, "next_by_subj": subject}
    return (await _get(connection, stream, request))[0]


async def _get(
    connection: Client, stream: str, request: dict[str, object]
) -> tuple[list[StoredMessage], int]:
    """Messages, and how many more there are: the server ends an answer that grows too large."""
    inbox = await connection.subscribe(connection.new_inbox(), pending_bytes_limit=-1, pending_msgs_limit=-1)
    found: list[StoredMessage] = []
    try:
        await connection.publish(
            f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox.subject
        )
        while (message := _stored(end := await inbox.next_msg(timeout=TIMEOUT_SECONDS))) is not None:
            found.append(message)
    finally:
        await inbox.unsubscribe()
    return found, int((end.headers or {}).get("Nats-Num-Pending", 0))


def _stored(message: Msg) -> StoredMessage | None:
    """The message; None at the end of the answer (204) and when there is none (404)."""
    headers = message.headers or {}
    position = headers.get("Nats-Sequence")
    if position is not None:
        return StoredMessage(int(position), headers["Nats-Subject"], message.data)
    status = headers.get("Status", "")
    if status in ("204", "404"):
        return None
    raise StreamError(f"direct get: {status} {headers.get('Description', '')}")
