"""Asks every instance of the feature service."""

from typing import Any

import grpc

from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from services.console.failures import CommandFailed
from shared.client.addresses import addresses_of

TIMEOUT_SECONDS = 120.0


def instance_addresses() -> list[str]:
    """Addresses of the instances, each once."""
    return addresses_of("feature")


async def ask_all_instances(method: str, request: Any) -> list[Any]:
    """The answers of all instances, in the order of their addresses. Raises CommandFailed naming one that is away."""
    return [await _ask(address, method, request) for address in instance_addresses()]


async def _ask(address: str, method: str, request: Any) -> Any:
    async with grpc.aio.insecure_channel(address) as channel:
        call = getattr(FeatureServiceStub(channel), method)
        try:
            return await call(request, timeout=TIMEOUT_SECONDS, wait_for_ready=False)
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise CommandFailed(
                f"the feature service at {address} answers {code}: {error.details()}"
            ) from error
