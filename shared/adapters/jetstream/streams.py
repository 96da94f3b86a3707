"""Names and settings of everything Freshet keeps in NATS, under one namespace."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from nats.aio.client import Client
from nats.errors import NoRespondersError, TimeoutError

from shared.domain.retention import Limit
from shared.domain.stream_settings import StreamSettings, UnfitSettingError

SECOND_NS = 1_000_000_000
LETTERS_KNOWN_SECONDS = 3600.0
"""How long NATS knows the ids of dead letters."""
LEADER_SECONDS = 15.0
"""How long a cluster may take to elect a leader before its absence is an error."""
LEADER_PAUSE_SECONDS = 0.25


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

    @property
    def bundles(self) -> str:
        """The object store bucket of model bundles."""
        return self.stream("BUNDLES")

    def event_subject(self, partition: int | str, event_type: str) -> str:
        """Where an event of a partition lies in the log; each may be "*"."""
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

    def redrive_id_subject(self, dead_letter_id: str) -> str:
        """Where the id lies in REJECTED that a dead letter's event has, however often it is sent."""
        return self.subject(f"rejected.v1.redrive_ids.{dead_letter_id}")

    def erasure_subject(self, partition: int | str) -> str:
        """Where the erasures of a partition's users lie in the log; "*" for all."""
        return self.subject(f"erasures.v1.{partition}")


async def ensure_streams(connection: Client, names: Names, wanted: StreamSettings | None = None) -> None:
    """Create the streams and the bucket of bundles that are missing.

    What is there already is brought up to date, but never loses replicas, and the log keeps its number of partitions:
    with another one, a user's events would lie in two places. Raises UnfitSettingError for another number, and where
    the server has no room, no JetStream or no cluster for what the settings say; StreamError when a stream cannot be
    made otherwise, or is there with settings that do not fit.
    """
    wanted = wanted or StreamSettings()
    window_ns, kept = int(wanted.duplicate_window_seconds * SECOND_NS), wanted.retention
    log = [names.subject(f"{kind}.v1.*") for kind in ("items", "users", "erasures")]
    log.append(names.subject("events.v1.*.*"))
    streams: list[tuple[str, list[str], dict[str, Any]]] = [
        (names.events, log, _log_settings(wanted)),
        (names.stream("INGEST"), [names.door], {"retention": "workqueue", "duplicate_window": window_ns}),
        (names.stream("REJECTED"), [names.subject("rejected.v1.>")], _rejected(kept.rejected)),
        (names.stream("MODELS"), [names.subject("models.v1.>")], {}),
        (names.stream("EXPOSURES"), [names.subject("exposures.v1.*")], _limited(kept.exposures)),
        (names.stream("DELTAS"), [names.subject("deltas.v1.*")], _limited(kept.deltas)),
        _bucket(names.bundles),
    ]
    for stream, subjects, settings in streams:
        await _ensure(connection, stream, subjects, {**settings, "num_replicas": wanted.replicas})


def _log_settings(wanted: StreamSettings) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "allow_atomic": True,
        "duplicate_window": int(wanted.duplicate_window_seconds * SECOND_NS),
    }
    return (
        settings
        if wanted.partitions is None
        else {**settings, "metadata": {_PARTITIONS: str(wanted.partitions)}}
    )


def _limited(limit: Limit) -> dict[str, Any]:
    return {
        "allow_atomic": True,
        "max_bytes": limit.max_bytes or -1,
        "max_age": int(limit.max_age_seconds * SECOND_NS),
        "discard": "old",
    }


def _rejected(limit: Limit) -> dict[str, Any]:
    """A door that was down for a while sends again what it may have stored, and nothing is to be stored twice."""
    age_seconds = limit.max_age_seconds or LETTERS_KNOWN_SECONDS
    return {**_limited(limit), "duplicate_window": int(min(LETTERS_KNOWN_SECONDS, age_seconds) * SECOND_NS)}


def _bucket(name: str) -> tuple[str, list[str], dict[str, Any]]:
    """The stream behind an object store, as clients expect it."""
    subjects = [f"$O.{name}.C.>", f"$O.{name}.M.>"]
    return f"OBJ_{name}", subjects, {"discard": "new", "allow_rollup_hdrs": True}


async def _ensure(connection: Client, stream: str, subjects: list[str], settings: dict[str, Any]) -> None:
    config: dict[str, Any] = {
        "name": stream,
        "subjects": subjects,
        "storage": "file",
        "allow_direct": True,
        **settings,
    }
    answer = await _patiently(connection, f"STREAM.CREATE.{stream}", config)
    if "error" in answer and answer["error"].get("err_code") == _ALREADY_THERE:
        answer = await _patiently(connection, f"STREAM.INFO.{stream}", {})
        if "error" not in answer:
            config = _kept(answer["config"], config)
            answer = await _patiently(connection, f"STREAM.UPDATE.{stream}", config)
    if "error" in answer:
        told = f"stream {stream}: {answer['error']['description']}"
        if (advice := _ADVICE.get(answer["error"].get("err_code", 0))) is not None:
            raise UnfitSettingError(f"{told}; {advice}")
        raise StreamError(told)


def _kept(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What a stream that is there becomes. Raises UnfitSettingError for another number of partitions."""
    # A service that was told of fewer replicas than the others must not throw some away.
    replicas = max(present.get("num_replicas", 1), wanted["num_replicas"])
    known, asked = present.get("metadata") or {}, wanted.get("metadata", {})
    if _PARTITIONS in asked and known.get(_PARTITIONS, asked[_PARTITIONS]) != asked[_PARTITIONS]:
        raise UnfitSettingError(
            f"stream {wanted['name']}: the log has {known[_PARTITIONS]} partitions for good, and FRESHET_PARTITIONS is "
            f"{asked[_PARTITIONS]}; set it to {known[_PARTITIONS]}, or choose another FRESHET_NAMESPACE"
        )
    return {**wanted, "num_replicas": replicas, "metadata": {**known, **asked}}


async def _patiently(connection: Client, call: str, request: dict[str, Any]) -> dict:
    """The answer to an API call; while the cluster has no leader it is tried again."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LEADER_SECONDS
    while True:
        try:
            answer = await api(connection, call, request)
        except NoRespondersError:
            answer = {
                "error": {"code": 503, "err_code": _NO_JETSTREAM, "description": "no JetStream answers"}
            }
        except TimeoutError as error:
            answer = {"error": {"code": 503, "description": repr(error)}}
        if answer.get("error", {}).get("code") != 503 or loop.time() > deadline:
            return answer
        await asyncio.sleep(LEADER_PAUSE_SECONDS)


LOOKS, LOOK_AGAIN_SECONDS = 5, 0.5
"""How often, and after what pause, an end of a stream is looked at again that lies before where it was."""
_PARTITIONS = "freshet.partitions"
"""Key in the log's metadata."""
_ALREADY_THERE = 10058
_NO_JETSTREAM = 10076
_ADVICE = {
    10047: "lower its FRESHET_..._MAX_BYTES, or give NATS more room (max_file_store)",
    10074: "set FRESHET_REPLICAS to 1, or FRESHET_NATS_URL to a cluster",
    _NO_JETSTREAM: "set FRESHET_NATS_URL to a server with JetStream (nats-server --jetstream)",
    10039: "set FRESHET_NATS_URL to an account that may use JetStream",
}
"""What to do where a setting does not fit the server, by the code of its error."""
_NO_MESSAGE = 10037


async def api(connection: Client, call: str, request: dict[str, object] | None = None) -> dict:
    """One call of the JetStream API, for what nats-py has no typed call for. The answer may hold an "error"."""
    payload = b"" if request is None else json.dumps(request).encode()
    answer = await connection.request(f"$JS.API.{call}", payload, timeout=5)
    return json.loads(answer.data)


class Bounds(NamedTuple):
    """The positions of the log's first and last message; first is last + 1 when it holds none."""

    first: int
    last: int


async def log_bounds(connection: Client, names: Names) -> Bounds:
    """Where the log begins and ends. Raises StreamError, and what nats-py raises while NATS is away."""
    answer = await _patiently(connection, f"STREAM.INFO.{names.events}", {})
    if "error" in answer:
        raise StreamError(f"stream {names.events}: {answer['error']['description']}")
    last = int(answer["state"]["last_seq"])
    return Bounds(int(answer["state"]["first_seq"]) if answer["state"]["messages"] else last + 1, last)


async def log_partitions(connection: Client, names: Names) -> int | None:
    """The number of partitions that the log was made with; None when nobody said. Raises like `log_bounds`."""
    answer = await _patiently(connection, f"STREAM.INFO.{names.events}", {})
    if "error" in answer:
        raise StreamError(f"stream {names.events}: {answer['error']['description']}")
    known = (answer["config"].get("metadata") or {}).get(_PARTITIONS)
    return int(known) if known is not None else None


async def log_end(connection: Client, names: Names, expected: int) -> int:
    """The last sequence of the log. One below `expected` is looked at again for a while: a server that has just become
    leader may lag. Raises like `log_bounds`."""
    for _ in range(LOOKS):
        if (end := (await log_bounds(connection, names)).last) >= expected:
            break
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return end


def set_back(stream: str, end: int, position: int) -> UnfitSettingError:
    """The error of a stream that ends before a position that it has held."""
    return UnfitSettingError(
        f"FRESHET_NATS_URL: stream {stream} ends at {end}, and held {position}: it was made anew, or restored from a "
        "backup. Restore it as it was, or set another FRESHET_NAMESPACE to begin anew"
    )


async def last_position(connection: Client, names: Names) -> int:
    """The last sequence of the log; 0 when it is empty."""
    return (await log_bounds(connection, names)).last


async def last_position_of(connection: Client, names: Names, subject: str) -> int:
    """The position of the newest message of the log on `subject`; see `last_sequence_of`."""
    return await last_sequence_of(connection, names.events, subject)


async def last_sequence_of(connection: Client, stream: str, subject: str) -> int:
    """Where a stream's newest message on `subject` lies, which may hold wildcards; 0 when there is none. Raises
    StreamError, and what nats-py raises while NATS is away."""
    answer = await _patiently(connection, f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
    if "error" not in answer:
        return int(answer["message"]["seq"])
    if answer["error"].get("err_code") == _NO_MESSAGE:
        return 0
    raise StreamError(f"stream {stream}: {answer['error']['description']}")
