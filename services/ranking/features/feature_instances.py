"""The instances of the feature service, each with the partitions it owns."""

from __future__ import annotations

import grpc

from freshet.feature.v1.state_pb2_grpc import StateServiceStub
from shared.domain.owners import Owners


class FeatureInstance:
    """One instance. position: the furthest position of the log that an answer of it has reflected. silent: it let a
    read wait in vain, and has not answered one since."""

    def __init__(self, address: str, channel: grpc.aio.Channel) -> None:
        self.address = address
        self.stub = StateServiceStub(channel)
        self.position = 0
        self.silent = False


class FeatureInstances:
    """All instances; `channels` by address."""

    def __init__(self, owners: Owners, channels: dict[str, grpc.aio.Channel]) -> None:
        self.all = [FeatureInstance(address, channels[address]) for address in owners.instances]
        by_address = {instance.address: instance for instance in self.all}
        self._by_partition = [by_address[address] for address in owners.addresses]

    def of(self, user_key: int) -> FeatureInstance:
        """The instance that owns a user."""
        return self._by_partition[user_key % len(self._by_partition)]
