"""Sends cases through gRPC: in batches, on streams, and as bytes that no stub would send."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1 import ingestion_pb2 as ingestion
from freshet.ingestion.v1.ingestion_pb2 import WriteOutcome, WriteStatus
from tests.fuzz.kinds import Case, make_case, valid_event
from tests.fuzz.oracle import parsed
from tests.fuzz.tally import GRPC, Tally

SERVICE = "/freshet.ingestion.v1.IngestionService"
GROUP = 400
RAW_SHARE = 0.1
ONLY_NATS = ("bad-cloud-event", "bad-header-block")
_ACCEPTED, _REJECTED = WriteStatus.WRITE_STATUS_ACCEPTED, WriteStatus.WRITE_STATUS_REJECTED


class GrpcDoor:
    """Sends groups of cases, each group one call with a valid probe in it, or many calls of one message each."""

    def __init__(self, channel: grpc.aio.Channel, tally: Tally, rng: random.Random) -> None:
        self._tally, self._rng = tally, rng
        self._raw = channel.unary_unary(f"{SERVICE}/WriteUserEvent")
        self._batch = channel.unary_unary(
            f"{SERVICE}/BatchWriteUserEvents",
            response_deserializer=ingestion.BatchWriteUserEventsResponse.FromString,
        )
        self._stream = channel.stream_stream(
            f"{SERVICE}/StreamUserEvents", response_deserializer=ingestion.StreamUserEventsResponse.FromString
        )
        self._probes = 0

    async def send(self, count: int) -> None:
        """Sends `count` messages that must be refused, and probes among them that must not."""
        cases = [self._case() for _ in range(count)]
        raw = [case for case in cases if parsed(case.payload) is None and self._rng.random() < RAW_SHARE]
        rest = [case for case in cases if not any(case is each for each in raw)]
        whole = [case for case in rest if parsed(case.payload) is not None]
        await self._send_batch(whole[: len(whole) // 2])
        broken = [case for case in rest if parsed(case.payload) is None]
        await self._send_stream([*whole[len(whole) // 2 :], *broken])
        await asyncio.gather(*[self._send_raw(case) for case in raw])

    def _case(self) -> Case:
        while True:
            case = make_case(self._rng)
            if case.kind not in ONLY_NATS:
                return case

    def _with_probe(self, cases: Sequence[Case]) -> list[Case]:
        self._probes += 1
        probe: UserEvent = valid_event(self._rng, f"probe-grpc-{self._probes}")
        mixed = [*cases, Case("probe", probe.SerializeToString(), {})]
        self._rng.shuffle(mixed)
        return mixed

    async def _send_batch(self, cases: Sequence[Case]) -> None:
        mixed = self._with_probe(cases)
        answer = await self._batch(b"".join(_embedded(case.payload) for case in mixed), timeout=60)
        self._judge(mixed, answer.outcomes)

    async def _send_stream(self, cases: Sequence[Case]) -> None:
        mixed = self._with_probe(cases)
        call = self._stream(iter([_embedded(case.payload) for case in mixed]), timeout=120)
        self._judge(mixed, [response.outcome async for response in call])

    def _judge(self, cases: Sequence[Case], outcomes: Sequence[WriteOutcome]) -> None:
        if len(cases) != len(outcomes):
            self._tally.miss(f"grpc: {len(cases)} messages have {len(outcomes)} outcomes")
            return
        for case, outcome in zip(cases, outcomes, strict=True):
            if case.kind == "probe":
                self._judge_probe(outcome)
            elif outcome.status != _REJECTED:
                word = WriteStatus.Name(outcome.status)
                self._tally.miss(f"grpc: {word} for {case.kind}: {case.payload[:200]!r}")
            else:
                self._tally.refuse(
                    GRPC, case.kind, ((each.field, each.reason) for each in outcome.violations)
                )

    def _judge_probe(self, outcome: WriteOutcome) -> None:
        if outcome.status == _ACCEPTED:
            self._tally.probes[GRPC] += 1
        else:
            self._tally.miss(f"grpc: a valid event was not accepted: {outcome}")

    async def _send_raw(self, case: Case) -> None:
        payload = case.payload if self._rng.random() < 0.5 else _embedded(case.payload)
        try:
            await self._raw(payload, timeout=60)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                self._tally.refuse(GRPC, case.kind, list(_violations(error)))
            else:
                self._tally.miss(f"grpc: {error.code()} {error.details()} for {case.kind}: {payload[:200]!r}")
        else:
            self._tally.miss(f"grpc: OK for {case.kind}: {payload[:200]!r}")


def _violations(error: grpc.aio.AioRpcError) -> Iterator[tuple[str, str]]:
    status = rpc_status.from_call(error)
    bad = error_details_pb2.BadRequest()
    for detail in status.details if status is not None else ():
        if detail.Unpack(bad):
            yield from ((each.field, each.reason) for each in bad.field_violations)


def _embedded(payload: bytes) -> bytes:
    """`payload` as field 1 of a request: the event of all three calls."""
    return b"\x0a" + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
