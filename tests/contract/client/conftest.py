"""Small real gRPC servers that record what they are asked and answer as a test tells them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from freshet.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from freshet.ranking.v1 import ranking_pb2, ranking_pb2_grpc
from freshet.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from shared.client import Addresses, FreshetClient, SyncFreshetClient

NOBODY = "127.0.0.1:1"
MAX_MESSAGE_BYTES = 32 * 1024 * 1024


@dataclass
class Script:
    """What the servers were asked, and the errors they raise before they start to answer.

    breaks: how the next streams of events end: after so many outcomes, with this error. streams: for each stream of
    events that was opened, the seconds that it may take. page_bytes: how large a page of dead letters is. ended: runs
    that nobody watches any more.
    """

    requests: list[Any] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    errors: list[status_pb2.Status] = field(default_factory=list)
    delay_seconds: float = 0.0
    breaks: list[tuple[int, status_pb2.Status]] = field(default_factory=list)
    streams: list[float | None] = field(default_factory=list)
    page_bytes: int = 0
    ended: list[str] = field(default_factory=list)

    async def record(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        """Notes the request, waits, and raises the next scripted error."""
        self.requests.append(request)
        self.request_ids.append(dict(context.invocation_metadata()).get("x-request-id", ""))
        await asyncio.sleep(self.delay_seconds)
        if self.errors:
            await context.abort_with_status(rpc_status.to_status(self.errors.pop(0)))


class Ingestion(ingestion_pb2_grpc.IngestionServiceServicer):
    """Accepts every event."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def WriteUserEvent(self, request, context):
        await self.script.record(request, context)
        return ingestion_pb2.WriteUserEventResponse(
            event_id=request.user_event.event_id, consistency_token="7"
        )

    async def BatchWriteUserEvents(self, request, context):
        await self.script.record(request, context)
        return ingestion_pb2.BatchWriteUserEventsResponse(consistency_token="8")

    async def ListDeadLetters(self, request, context):
        await self.script.record(request, context)
        letter = ingestion_pb2.DeadLetter(payload=bytes(self.script.page_bytes))
        return ingestion_pb2.ListDeadLettersResponse(dead_letters=[letter])

    async def StreamUserEvents(self, requests, context):
        self.script.streams.append(context.time_remaining())
        good, error = self.script.breaks.pop(0) if self.script.breaks else (None, None)
        count = 0
        async for request in requests:
            self.script.requests.append(request)
            if count == good:
                await context.abort_with_status(rpc_status.to_status(error))
            count += 1
            outcome = ingestion_pb2.WriteOutcome(id=request.user_event.event_id)
            yield ingestion_pb2.StreamUserEventsResponse(outcome=outcome)


class Ranking(ranking_pb2_grpc.RankingServiceServicer):
    """Recommends nothing."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def Recommend(self, request, context):
        await self.script.record(request, context)
        return ranking_pb2.RecommendResponse(consistency_token=request.min_consistency_token)

    async def RankItems(self, request, context):
        await self.script.record(request, context)
        return ranking_pb2.RankItemsResponse(consistency_token=request.min_consistency_token)


class Trainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Starts runs that end after two steps."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def StartTraining(self, request, context):
        await self.script.record(request, context)
        return trainer_pb2.StartTrainingResponse(run=trainer_pb2.TrainingRun(run_id="r1"))

    async def RollbackModel(self, request, context):
        await self.script.record(request, context)
        return trainer_pb2.RollbackModelResponse(rolled_back_model_version="v2")

    async def WatchTrainingRun(self, request, context):
        await self.script.record(request, context)
        try:
            for step in (1, 2):
                yield trainer_pb2.WatchTrainingRunResponse(
                    run=trainer_pb2.TrainingRun(run_id="r1", step=step)
                )
            if request.run_id == "endless":
                await asyncio.Event().wait()
        finally:
            self.script.ended.append(request.run_id)


@pytest.fixture
def script() -> Script:
    """What the servers of this test do."""
    return Script()


class Servers:
    """A server with three of the services on a free port, with the limits of the real ones."""

    def __init__(self, script: Script) -> None:
        self.script, self.address = script, "127.0.0.1:0"

    async def start(self) -> None:
        """Starts to answer; the address stays the same from the first start on."""
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)])
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(Ingestion(self.script), self._server)
        ranking_pb2_grpc.add_RankingServiceServicer_to_server(Ranking(self.script), self._server)
        trainer_pb2_grpc.add_TrainerServiceServicer_to_server(Trainer(self.script), self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port(self.address)}"
        await self._server.start()

    async def stop(self) -> None:
        """Goes down; what is under way is cancelled."""
        await self._server.stop(None)


@pytest.fixture
async def servers(script: Script) -> AsyncIterator[Servers]:
    """The servers of this test."""
    servers = Servers(script)
    await servers.start()
    yield servers
    await servers.stop()


@pytest.fixture
def addresses(servers: Servers) -> Addresses:
    """Where the servers of this test are; nobody answers for features."""
    there = servers.address
    return Addresses(ingestion=there, feature=NOBODY, ranking=there, trainer=there)


@pytest.fixture
async def client(addresses: Addresses) -> AsyncIterator[FreshetClient]:
    """The async client of this test's servers."""
    async with FreshetClient(addresses) as client:
        yield client


def in_thread(addresses: Addresses, use: Callable[[SyncFreshetClient], Any]) -> Any:
    """Awaits what `use` does with a sync client in a thread of its own."""

    def run() -> Any:
        with SyncFreshetClient(addresses) as client:
            return use(client)

    return asyncio.to_thread(run)


def status(code: int, message: str, *details: Any) -> status_pb2.Status:
    """A google.rpc.Status with packed details."""
    answer = status_pb2.Status(code=code, message=message)
    for detail in details:
        answer.details.add().Pack(detail)
    return answer


def bad_field(path: str, description: str) -> status_pb2.Status:
    """INVALID_ARGUMENT about one field."""
    violation = error_details_pb2.BadRequest.FieldViolation(
        field=path, description=description, reason="REQUIRED"
    )
    return status(
        code_pb2.INVALID_ARGUMENT,
        "the event is not valid",
        error_details_pb2.ErrorInfo(
            reason="INVALID_EVENT", domain="freshet", metadata={"service": "ingestion"}
        ),
        error_details_pb2.BadRequest(field_violations=[violation]),
    )


def overloaded(delay_seconds: int) -> status_pb2.Status:
    """RESOURCE_EXHAUSTED that asks to come back later."""
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=delay_seconds))
    return status(code_pb2.RESOURCE_EXHAUSTED, "too many writes in flight", retry)


def too_large() -> status_pb2.Status:
    """RESOURCE_EXHAUSTED as gRPC itself says it: without a time to come back."""
    return status(code_pb2.RESOURCE_EXHAUSTED, "Received message larger than max")


def away() -> status_pb2.Status:
    """UNAVAILABLE, as a service says it whose log is away."""
    return status(
        code_pb2.UNAVAILABLE, "the log is away", error_details_pb2.ErrorInfo(reason="LOG_UNAVAILABLE")
    )
