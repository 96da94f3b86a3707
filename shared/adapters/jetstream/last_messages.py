"""Reads stored messages straight from a stream, many with one request (nats-server 2.11 and newer; NATS ADR-31).

Decision: an answer is asked for in parts of a few megabytes. Without `max_bytes` the server sends up to 64 MiB at once,
which a busy machine does not take in before the time for it is over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.adapters.jetstream.streams import StreamError

MAX_SUBJECTS = 1000
"""Of one request; the server allows 1,024."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Of one answer, which ends with the message that gets there: it may be one message longer, and is never empty."""
TIMEOUT_SECONDS = 10.0
"""For each next message of an answer."""


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
        wanted = [subject for subject in wanted if subject not in found] if behind else []
    return found


async def messages_from(
    connection: Client, stream: str, subject: str, start: int, limit: int
) -> list[StoredMessage]:
    """Messages on `subject` from position `start` on, in order: `limit`, or all that there are when these are fewer.
    Raises like `last_messages`."""
    found: list[StoredMessage] = []
    behind = 1
    while behind and len(found) < limit:
        request = {"seq": max(1, start), "batch": limit - len(found), "next_by_subj": subject}
        part, behind = await _get(connection, stream, request)
        found += part
        if part:
            start = part[-1].position + 1
    return found


async def _get(
    connection: Client, stream: str, request: dict[str, object]
) -> tuple[list[StoredMessage], int]:
    """Messages, and how many more there are behind them. Raises StreamError instead of none with more behind: nobody
    could go on from there."""
    inbox = await connection.subscribe(connection.new_inbox(), pending_bytes_limit=-1, pending_msgs_limit=-1)
    found: list[StoredMessage] = []
    bounded = json.dumps({**request, "max_bytes": MAX_ANSWER_BYTES}).encode()
    try:
        await connection.publish(f"$JS.API.DIRECT.GET.{stream}", bounded, reply=inbox.subject)
        while (message := _stored(end := await inbox.next_msg(timeout=TIMEOUT_SECONDS))) is not None:
            found.append(message)
    finally:
        await inbox.unsubscribe()
    behind = int((end.headers or {}).get("Nats-Num-Pending", 0))
    if behind and not found:
        raise StreamError(f"direct get: an empty answer with {behind} messages behind it")
    return found, behind


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
