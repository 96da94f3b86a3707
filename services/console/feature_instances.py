"""Asks every instance of the feature service."""

import os
from typing import Any, NamedTuple

import grpc

from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from freshet.feature.v1.state_pb2 import ReadUserStatesRequest, ReadUserStatesResponse
from freshet.feature.v1.state_pb2_grpc import StateServiceStub
from services.console.channels import open_channel
from services.console.failures import CommandFailed
from shared.client.addresses import address_from, address_variable, addresses_of
from shared.domain.owners import DEFAULT_PARTITIONS, Owners, parse_owners, ranges

TIMEOUT_SECONDS = 120.0
MAX_USERS = 1024
"""That one call may ask for."""
PARTITIONS_VARIABLE = "FRESHET_PARTITIONS"


class FeatureInstance(NamedTuple):
    """One instance, named as the launcher names it. owned: the partitions it is said to own, ascending."""

    name: str
    address: str
    owned: tuple[int, ...]

    @property
    def partitions(self) -> str:
        """`owned` as settings name them, for example "0-7"."""
        return ",".join(ranges(self.owned))


def feature_instances() -> list[FeatureInstance]:
    """Those that the environment names, in the order of their partitions. Raises CommandFailed."""
    owners = _owners()
    several = len(owners.instances) > 1
    return [
        FeatureInstance(f"feature-{number}" if several else "feature", address, owners.partitions_of(address))
        for number, address in enumerate(owners.instances)
    ]


def _owners() -> Owners:
    text = os.environ.get(PARTITIONS_VARIABLE) or str(DEFAULT_PARTITIONS)
    if not text.isdecimal() or int(text) == 0:
        raise CommandFailed(f"{PARTITIONS_VARIABLE}={text!r} must be the number of the log's partitions")
    try:
        return parse_owners(address_from(os.environ, "feature"), int(text))
    except ValueError as error:
        wrong = f"{address_variable('feature')} for {text} partitions ({PARTITIONS_VARIABLE}): {error}"
        raise CommandFailed(wrong) from error


async def folded_position(instance: FeatureInstance, timeout_seconds: float) -> int:
    """The position that an instance has folded. Raises CommandFailed when it does not tell, or does not own what it is
    said to own."""
    # Nobody's key, one in each partition: an instance refuses those of partitions that it does not own.
    keys = instance.owned[:MAX_USERS]
    request = ReadUserStatesRequest(user_keys=keys, min_positions=[0] * len(keys))
    async with open_channel(instance.address) as channel:
        try:
            answer: ReadUserStatesResponse = await StateServiceStub(channel).ReadUserStates(
                request, timeout=timeout_seconds
            )
        except grpc.aio.AioRpcError as error:
            raise CommandFailed(_reason(instance, error)) from error
    return max(answer.positions)


def _reason(instance: FeatureInstance, error: grpc.aio.AioRpcError) -> str:
    if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
        return f"{error.code().name}: {error.details()}"
    variable = address_variable("feature")
    return (
        f"does not own partitions {instance.partitions}: {error.details()}; set {variable} to all instances"
    )


def instance_addresses() -> list[str]:
    """Addresses of the instances, each once."""
    return addresses_of("feature")


async def ask_all_instances(method: str, request: Any) -> list[Any]:
    """The answers of all instances, in the order of their addresses. Raises CommandFailed naming one that is away."""
    return [await _ask(address, method, request) for address in instance_addresses()]


async def _ask(address: str, method: str, request: Any) -> Any:
    async with open_channel(address) as channel:
        call = getattr(FeatureServiceStub(channel), method)
        try:
            return await call(request, timeout=TIMEOUT_SECONDS, wait_for_ready=False)
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise CommandFailed(
                f"the feature service at {address} answers {code}: {error.details()}"
            ) from error
