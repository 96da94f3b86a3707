"""Calls that write events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import grpc

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from services.ingestion.answers import check_size, outcome_message, refuse_if, status_of, under
from services.ingestion.doors.event_stream import EventStream
from services.ingestion.intake import Intake, Outcome, Rejected
from services.ingestion.writing.event_writer import Written, token_positions
from shared.adapters.jetstream.log_writer import LogOverloadedError, LogUnavailableError
from shared.domain.consistency import encode_token
from shared.domain.violation import Violation
from shared.runtime.errors import overloaded, unavailable
from shared.runtime.rpc import streaming, unary

SOURCE = "x-freshet-source"
"""Metadata in which a caller names itself, for the limits of sources."""


class EventCalls(ingestion_pb2_grpc.IngestionServiceServicer):
    """Translates between messages and the intake; decides nothing."""

    _intake: Intake
    _draining: asyncio.Event

    @unary
    async def WriteUserEvent(
        self, request: ingestion_pb2.WriteUserEventRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.WriteUserEventResponse:
        event = request.user_event
        if request.validate_only:
            refuse_if(under("user_event", await self._check(event, context)))
            return ingestion_pb2.WriteUserEventResponse(event_id=event.event_id)
        outcome = (await self._take([event], context))[0]
        if isinstance(outcome, Rejected):
            refuse_if(under("user_event", outcome.violations))
        if not isinstance(outcome, Written):
            raise unavailable("LOG_UNAVAILABLE", str(outcome))
        return ingestion_pb2.WriteUserEventResponse(
            event_id=event.event_id,
            status=status_of(outcome),
            consistency_token=encode_token({outcome.partition: outcome.position}),
        )

    @unary
    async def BatchWriteUserEvents(
        self, request: ingestion_pb2.BatchWriteUserEventsRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.BatchWriteUserEventsResponse:
        events = request.user_events
        check_size("user_events", len(events))
        outcomes = await self._take(events, context)
        return ingestion_pb2.BatchWriteUserEventsResponse(
            outcomes=[
                outcome_message(event.event_id, each) for event, each in zip(events, outcomes, strict=True)
            ],
            consistency_token=encode_token(token_positions(outcomes)),
        )

    @streaming
    async def StreamUserEvents(
        self,
        requests: AsyncIterator[ingestion_pb2.StreamUserEventsRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[ingestion_pb2.StreamUserEventsResponse]:
        source = next(iter(self._sources(context, 1)), "")
        async for response in EventStream(self._intake, self._draining, source).responses(requests):
            yield response

    async def _check(self, event: UserEvent, context: grpc.aio.ServicerContext) -> Sequence[Violation]:
        source = next(iter(self._sources(context, 1)), "")
        try:
            return await self._intake.check(event, source)
        except LogUnavailableError as error:
            raise unavailable("LOG_UNAVAILABLE", str(error)) from error

    async def _take(self, events: Sequence[UserEvent], context: grpc.aio.ServicerContext) -> list[Outcome]:
        try:
            return await self._intake.take(events, self._sources(context, len(events)))
        except LogOverloadedError as error:
            raise overloaded(str(error)) from error

    def _sources(self, context: grpc.aio.ServicerContext, count: int) -> list[str]:
        """The caller's name for itself, for each of `count` events; nothing where it does not matter."""
        if not self._intake.limits_sources:
            return []
        metadata = dict(context.invocation_metadata() or ())
        return [str(metadata.get(SOURCE, ""))] * count
