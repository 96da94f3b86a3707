"""Deltas in JetStream: stream DELTAS, one subject for each model."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from google.protobuf.message import DecodeError
from nats.aio.client import Client

from freshet.log.v1 import log_pb2
from shared.adapters.jetstream.publish_behind import publish_behind
from shared.adapters.jetstream.streams import Names
from shared.domain.models.delta import Delta, DeltaRefusedError

DELTAS_AHEAD = 32
"""Of up to a megabyte each, that a reader asks for at once: NATS cuts off whoever has more on the way than he takes."""


def delta_stream(names: Names) -> str:
    """The stream of all deltas."""
    return names.stream("DELTAS")


def delta_subject(names: Names, model_version: str) -> str:
    """Where the deltas of one model lie."""
    return names.subject(f"deltas.v1.{model_version}")


def encode_delta(delta: Delta) -> bytes:
    """The delta as a message."""
    message = log_pb2.Delta(
        model_version=delta.model_version,
        sequence=delta.sequence,
        digest=delta.digest,
        to_position=delta.to_position,
        item_keys=delta.item_keys.astype("<u8").tobytes(),
        vectors=delta.vectors.astype("<f4").tobytes(),
        biases=delta.biases.astype("<f4").tobytes(),
        rule_keys=delta.rule_keys.astype("<u8").tobytes(),
        follower_keys=delta.follower_keys.astype("<u8").tobytes(),
        counts=delta.counts.astype("<f4").tobytes(),
    )
    message.since_time.FromMilliseconds(delta.since_ms)
    return message.SerializeToString()


def decode_delta(payload: bytes, dimension: int) -> Delta:
    """The delta in a message for a model of D dimensions. Raises DeltaRefusedError when there is none."""
    try:
        message = log_pb2.Delta.FromString(payload)
        since = message.since_time.ToDatetime(tzinfo=UTC)
        return Delta(
            message.model_version,
            message.sequence,
            message.to_position,
            np.frombuffer(message.item_keys, "<u8"),
            np.frombuffer(message.vectors, "<f4").reshape(-1, dimension),
            np.frombuffer(message.biases, "<f4"),
            np.frombuffer(message.rule_keys, "<u8"),
            np.frombuffer(message.follower_keys, "<u8"),
            np.frombuffer(message.counts, "<f4"),
            message.digest,
            int((since - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000),
        )
    except (DecodeError, ValueError) as error:
        raise DeltaRefusedError(f"not a delta: {error}") from error


async def publish_delta(connection: Client, names: Names, delta: Delta, behind: int) -> int:
    """Store a delta right behind the model's last one, which lies at `behind` in the stream (0 for none); returns where
    this one lies. Two who publish at once cannot both succeed.

    Raises like `publish_behind`.
    """
    subject = delta_subject(names, delta.model_version)
    return await publish_behind(connection, subject, encode_delta(delta), behind)


async def delete_deltas(connection: Client, names: Names, model_version: str) -> None:
    """Delete the deltas of a model, which will not be served again. Raises what NATS raises while it is away."""
    subject = delta_subject(names, model_version)
    await connection.jetstream().purge_stream(delta_stream(names), subject=subject)
