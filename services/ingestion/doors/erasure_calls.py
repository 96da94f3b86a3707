"""The gRPC door to erasures."""

from __future__ import annotations

import grpc

from freshet.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from services.ingestion.erasing.erasure_requests import LOG_AWAY, ErasureRequests
from shared.domain.violation import ID_CHARACTERS, Violation
from shared.runtime.errors import invalid_argument, unavailable
from shared.runtime.rpc import remaining_seconds, unary

LONGEST_WAIT_SECONDS = 600.0
ANSWER_SECONDS = 0.5
"""So long before the caller's deadline the call answers with what is known. Time enough for a busy machine: an answer
that comes too late tells no receipt id."""


class ErasureCalls(ingestion_pb2_grpc.IngestionServiceServicer):
    """The calls of IngestionService about erasures, for a servicer that sets `_erasure_requests`."""

    _erasure_requests: ErasureRequests

    @unary
    async def EraseUser(
        self, request: ingestion_pb2.EraseUserRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.EraseUserResponse:
        if violations := _violations(request.user_id):
            raise invalid_argument(violations)
        try:
            receipt_id = await self._erasure_requests.request(request.user_id)
        except LOG_AWAY as error:
            reason = f"the log cannot be reached: {error or type(error).__name__}"
            raise unavailable("LOG_UNAVAILABLE", reason) from error
        wait_seconds = remaining_seconds(context, LONGEST_WAIT_SECONDS, ANSWER_SECONDS)
        receipt = await self._erasure_requests.result(receipt_id, wait_seconds)
        return ingestion_pb2.EraseUserResponse(receipt=receipt)


def _violations(user_id: str) -> list[Violation]:
    if not user_id.strip():
        return [Violation("user_id", f"is required, 1 to {ID_CHARACTERS} characters", "REQUIRED")]
    if len(user_id) > ID_CHARACTERS:
        text = f"has {len(user_id)} characters; at most {ID_CHARACTERS}"
        return [Violation("user_id", text, "OUT_OF_RANGE")]
    return []
