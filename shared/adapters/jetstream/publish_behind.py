"""Stores a message right behind the last one of its subject, so that of two who know the same only one goes on."""

from __future__ import annotations

import nats.js.errors
from nats.aio.client import Client

_WRONG_LAST_SEQUENCE = (10071, 10164)


class OvertakenError(RuntimeError):
    """Another message of the subject was stored meanwhile: what is there must be read first."""


async def publish_behind(
    connection: Client, subject: str, payload: bytes, behind: int, message_id: str = ""
) -> int:
    """Store a message behind the subject's last one, which lies at `behind` in its stream (0: there is none); returns
    where this one lies. message_id: one by which the stream knows a second try; empty for none.

    Raises OvertakenError when another is there, and what nats-py raises while NATS is away: then nobody knows whether
    it was stored.
    """
    headers = {"Nats-Expected-Last-Subject-Sequence": str(behind)}
    if message_id:
        headers["Nats-Msg-Id"] = message_id
    try:
        answer = await connection.jetstream().publish(subject, payload, headers=headers)
    except nats.js.errors.APIError as error:
        if error.err_code in _WRONG_LAST_SEQUENCE:
            raise OvertakenError(f"{subject}: {error}") from error
        raise
    return answer.seq
