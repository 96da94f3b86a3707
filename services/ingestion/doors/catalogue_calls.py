"""Calls about items and users."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import grpc

from freshet.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from freshet.ingestion.v1.ingestion_pb2 import WriteOutcome
from services.ingestion.answers import check_size, outcome_message
from services.ingestion.writing.item_writer import ItemWriter
from services.ingestion.writing.user_writer import UserWriter
from services.ingestion.writing.versions import VersionOutcome
from shared.adapters.jetstream.log_writer import LogOverloadedError
from shared.runtime.errors import overloaded
from shared.runtime.rpc import unary


class CatalogueCalls(ingestion_pb2_grpc.IngestionServiceServicer):
    """Translates between messages and the writers; decides nothing."""

    _items: ItemWriter
    _users: UserWriter

    @unary
    async def UpsertItems(
        self, request: ingestion_pb2.UpsertItemsRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.UpsertItemsResponse:
        check_size("items", len(request.items))
        ids = [item.item_id for item in request.items]
        outcomes = await _outcomes(ids, self._items.write(request.items))
        return ingestion_pb2.UpsertItemsResponse(outcomes=outcomes)

    @unary
    async def DeleteItems(
        self, request: ingestion_pb2.DeleteItemsRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.DeleteItemsResponse:
        check_size("item_ids", len(request.item_ids))
        outcomes = await _outcomes(request.item_ids, self._items.delete(request.item_ids))
        return ingestion_pb2.DeleteItemsResponse(outcomes=outcomes)

    @unary
    async def UpsertUsers(
        self, request: ingestion_pb2.UpsertUsersRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.UpsertUsersResponse:
        check_size("users", len(request.users))
        ids = [user.user_id for user in request.users]
        outcomes = await _outcomes(ids, self._users.write(request.users), "users")
        return ingestion_pb2.UpsertUsersResponse(outcomes=outcomes)


async def _outcomes(
    ids: Sequence[str], writing: Awaitable[list[VersionOutcome]], field: str = ""
) -> list[WriteOutcome]:
    try:
        outcomes = await writing
    except LogOverloadedError as error:
        raise overloaded(str(error)) from error
    return [
        outcome_message(identity, outcome, f"{field}[{index}]" if field else "")
        for index, (identity, outcome) in enumerate(zip(ids, outcomes, strict=True))
    ]
