"""The gRPC door."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from freshet.ingestion.v1.ingestion_pb2 import WriteOutcome, WriteStatus
from services.ingestion.erasure_calls import ErasureCalls
from services.ingestion.erasure_requests import ErasureRequests
from services.ingestion.event_writer import Written, token_positions
from services.ingestion.intake import Intake, Outcome, Rejected
from services.ingestion.item_writer import ItemOutcome, ItemRejected, ItemWriter
from shared.adapters.log_writer import Appended, LogOverloadedError, LogUnavailableError
from shared.domain.consistency import encode_token
from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument, overloaded, unavailable
from shared.runtime.rpc import unary

MAX_BATCH = 1000
SOURCE_METADATA = "x-freshet-source"


class IngestionServicer(ErasureCalls, ingestion_pb2_grpc.IngestionServiceServicer):
    """Translates between messages and the intake; decides nothing."""

    def __init__(self, intake: Intake, item_writer: ItemWriter, erasure_requests: ErasureRequests) -> None:
        self._intake = intake
        self._item_writer = item_writer
        self._erasure_requests = erasure_requests

    @unary
    async def WriteUserEvent(
        self, request: ingestion_pb2.WriteUserEventRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.WriteUserEventResponse:
        event = request.user_event
        if request.validate_only:
            _refuse_if(await self._check(event, context))
            return ingestion_pb2.WriteUserEventResponse(event_id=event.event_id)
        outcome = (await self._take([event], context))[0]
        if isinstance(outcome, Rejected):
            _refuse_if(outcome.violations)
        if not isinstance(outcome, Written):
            raise unavailable("LOG_UNAVAILABLE", str(outcome))
        return ingestion_pb2.WriteUserEventResponse(
            event_id=event.event_id,
            status=_status(outcome),
            consistency_token=encode_token({outcome.partition: outcome.position}),
        )

    @unary
    async def BatchWriteUserEvents(
        self, request: ingestion_pb2.BatchWriteUserEventsRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.BatchWriteUserEventsResponse:
        events = request.user_events
        _check_size("user_events", len(events))
        outcomes = await self._take(events, context)
        return ingestion_pb2.BatchWriteUserEventsResponse(
            outcomes=[_outcome(event.event_id, each) for event, each in zip(events, outcomes, strict=True)],
            consistency_token=encode_token(token_positions(outcomes)),
        )

    @unary
    async def UpsertItems(
        self, request: ingestion_pb2.UpsertItemsRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.UpsertItemsResponse:
        _check_size("items", len(request.items))
        try:
            outcomes = await self._item_writer.write(request.items)
        except LogOverloadedError as error:
            raise overloaded(str(error)) from error
        pairs = zip(request.items, outcomes, strict=True)
        return ingestion_pb2.UpsertItemsResponse(
            outcomes=[_outcome(item.item_id, each) for item, each in pairs]
        )

    async def _check(self, event: UserEvent, context: grpc.aio.ServicerContext) -> Sequence[Violation]:
        try:
            return await self._intake.check(event, _source(context))
        except LogUnavailableError as error:
            raise unavailable("LOG_UNAVAILABLE", str(error)) from error

    async def _take(self, events: Sequence, context: grpc.aio.ServicerContext) -> list[Outcome]:
        source = _source(context)
        try:
            return await self._intake.take(events, [source] * len(events) if source else ())
        except LogOverloadedError as error:
            raise overloaded(str(error)) from error


def _source(context: grpc.aio.ServicerContext) -> str:
    """The sending system, as the call's metadata names it; empty for none."""
    return str(dict(context.invocation_metadata() or ()).get(SOURCE_METADATA, ""))


def _refuse_if(violations: Sequence[Violation]) -> None:
    if violations:
        raise invalid_argument([each._replace(field=f"user_event.{each.field}") for each in violations])


def _check_size(field: str, size: int) -> None:
    if not 1 <= size <= MAX_BATCH:
        raise invalid_argument(
            [Violation(field, f"has {size}; must have 1 to {MAX_BATCH:,}", "OUT_OF_RANGE")]
        )


def _outcome(identity: str, outcome: Outcome | ItemOutcome) -> WriteOutcome:
    if isinstance(outcome, (Written, Appended)):
        return WriteOutcome(id=identity, status=_status(outcome), position=outcome.position)
    if isinstance(outcome, (Rejected, ItemRejected)):
        violations = [ingestion_pb2.Violation(**each._asdict()) for each in outcome.violations]
        return WriteOutcome(id=identity, status=WriteStatus.WRITE_STATUS_REJECTED, violations=violations)
    return WriteOutcome(id=identity, status=WriteStatus.WRITE_STATUS_UNAVAILABLE)


def _status(outcome: Written | Appended) -> WriteStatus:
    return WriteStatus.WRITE_STATUS_DUPLICATE if outcome.duplicate else WriteStatus.WRITE_STATUS_ACCEPTED
