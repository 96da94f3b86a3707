"""The Python SDK: `FreshetClient` for asyncio, `SyncFreshetClient` for everything else.

    async with FreshetClient() as client:
        written = await client.write_user_event(user_event("click", "u1", ["i1"]))
        answer = await client.recommend("u1", min_consistency_token=written.consistency_token)

Addresses come from the environment (FRESHET_RANKING_ADDRESS and so on) or from `Addresses`. Every call has a request
id and safe retries, and all but a stream of events a deadline; errors are `FreshetError`s that carry what the service
said.
"""

from shared.client.addresses import SERVICES, Addresses
from shared.client.async_client import FreshetClient
from shared.client.errors import (
    Cancelled,
    ClientClosed,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    FreshetError,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from shared.client.events import user_event
from shared.client.sync_client import SyncFreshetClient

__all__ = [
    "SERVICES",
    "Addresses",
    "Cancelled",
    "ClientClosed",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FieldViolation",
    "FreshetClient",
    "FreshetError",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "SyncFreshetClient",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "user_event",
]
