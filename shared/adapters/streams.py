"""Names and settings of everything Freshet keeps in NATS, under one namespace."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nats.aio.client import Client

from shared.domain.retention import Limit, Retention

SECOND_NS = 1_000_000_000


class StreamError(RuntimeError):
    """NATS refused a stream; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Names:
    """Streams, subjects and buckets of one namespace. The empty namespace prefixes nothing."""

    namespace: str = ""

    def stream(self, name: str) -> str:
        """Name of a stream or bucket, for example "EVENTS"."""
        return f"{self.namespace}_{name}" if self.namespace else name

    def subject(self, subject: str) -> str:
        """A subject, for example "events.v1.3.click"."""
        return f"{self.namespace}.{subject}" if self.namespace else subject

    @property
    def events(self) -> str:
        """The log."""
        return self.stream("EVENTS")

    @property
    def door(self) -> str:
        """Where direct publishers send."""
        return self.subject("ingest.v1.events")

    def event_subject(self, partition: int, event_type: str) -> str:
        """Where an event of a partition lies in the log."""
        return self.subject(f"events.v1.{partition}.{event_type}")

    def item_subject(self, item_key: int) -> str:
        """Where the versions of one item lie in the log; the newest one counts."""
        return self.subject(f"items.v1.{item_key:016x}")

    def user_subject(self, user_key: int) -> str:
        """Where the versions of one user lie in the log; the newest one counts."""
        return self.subject(f"users.v1.{user_key:016x}")

    @property
    def dead_letters(self) -> str:
        """Where refused messages lie in REJECTED."""
        return self.subject("rejected.v1.events")

    def redrive_subject(self, dead_letter_id: str) -> str:
        """Where the tries to send a dead letter again lie in REJECTED."""
        return self.subject(f"rejected.v1.redrives.{dead_letter_id}")

    def erasure_subject(self, partition: int) -> str:
        """Where the erasures of a partition's users lie in the log."""
        return self.subject(f"erasures.v1.{partition}")


async def ensure_streams(
    connection: Client, names: Names, duplicate_window_seconds: float, retention: Retention | None = None
) -> None:
    """Create the streams that are missing; raise StreamError when one is there with settings that do not fit."""
    window_ns, kept = int(duplicate_window_seconds * SECOND_NS), retention or Retention()
    log = [names.subject(f"{kind}.v1.*") for kind in ("items", "users", "erasures")]
    log.append(names.subject("events.v1.*.*"))
    await _ensure(connection, names.events, log, {"allow_atomic": True, "duplicate_window": window_ns})
    await _ensure(
        connection,
        names.stream("INGEST"),
        [names.door],
        {"retention": "workqueue", "duplicate_window": window_ns},
    )
    rejected = {"allow_atomic": True, **_limits(kept.rejected)}
    await _ensure(connection, names.stream("REJECTED"), [names.subject("rejected.v1.>")], rejected)
    await _ensure(connection, names.stream("MODELS"), [names.subject("models.v1.>")], {})
    exposures = {"allow_atomic": True, **_limits(kept.exposures)}
    await _ensure(connection, names.stream("EXPOSURES"), [names.subject("exposures.v1.*")], exposures)


def _limits(limit: Limit) -> dict[str, object]:
    return {
        "max_bytes": limit.max_bytes or -1,
        "max_age": int(limit.max_age_seconds * SECOND_NS),
        "discard": "old",
    }


async def _ensure(connection: Client, stream: str, subjects: list[str], settings: dict[str, object]) -> None:
    config = {"name": stream, "subjects": subjects, "storage": "file", "allow_direct": True, **settings}
    answer = await api(connection, f"STREAM.CREATE.{stream}", config)
    if "error" in answer and answer["error"].get("err_code") == _ALREADY_THERE:
        answer = await api(connection, f"STREAM.UPDATE.{stream}", config)
    if "error" in answer:
        advice = "; lower its FRESHET_..._MAX_BYTES" if answer["error"].get("err_code") == _NO_ROOM else ""
        raise StreamError(f"stream {stream}: {answer['error']['description']}{advice}")


_ALREADY_THERE = 10058
_NO_ROOM = 10047


async def api(connection: Client, call: str, request: dict[str, object] | None = None) -> dict:
    """One call of the JetStream API, for what nats-py has no typed call for. The answer may hold an "error"."""
    payload = b"" if request is None else json.dumps(request).encode()
    answer = await connection.request(f"$JS.API.{call}", payload, timeout=5)
    return json.loads(answer.data)


async def last_position(connection: Client, names: Names) -> int:
    """The last sequence of the log; 0 when it is empty."""
    answer = await api(connection, f"STREAM.INFO.{names.events}")
    if "error" in answer:
        raise StreamError(f"stream {names.events}: {answer['error']['description']}")
    return int(answer["state"]["last_seq"])


async def last_position_of(connection: Client, names: Names, subject: str) -> int:
    """The position of the newest message of the log on `subject`, which may hold wildcards; 0 when there is none."""
    answer = await api(connection, f"STREAM.MSG.GET.{names.events}", {"last_by_subj": subject})
    if "error" not in answer:
        return int(answer["message"]["seq"])
    if answer["error"]["code"] == 404:
        return 0
    raise StreamError(f"stream {names.events}: {answer['error']['description']}")
