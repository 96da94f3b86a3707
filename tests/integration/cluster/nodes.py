"""Three nats-servers as one JetStream cluster on loopback, every acknowledged message synced to disk."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error

from deploy.local.brokers import NatsServer
from deploy.local.nats_server import MAX_PAYLOAD_BYTES, PORT_VARIABLE
from deploy.local.ports import LOOPBACK, PortRequest, free_ports
from deploy.local.together import all_or_error
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import api
from tests.conditions import eventually

SIZE = 3
_CLUSTER = """\
server_name: {name}
host: {host}
port: {port}
jetstream {{
  store_dir: {store}
  sync_interval: always
}}
cluster {{
  name: freshet_test
  listen: "{host}:{route}"
  routes: [{routes}]
}}
"""


class ClusterNode(NatsServer):
    """One server of the cluster."""

    def __init__(self, name: str, directory: Path, port: int, route: int, routes: Sequence[int]) -> None:
        super().__init__(directory, PortRequest(port, PORT_VARIABLE), None, MAX_PAYLOAD_BYTES)
        self.name, self._route, self._routes = name, route, routes

    def _configuration(self) -> str:
        return _CLUSTER.format(
            name=self.name,
            host=LOOPBACK,
            port=self.port,
            store=json.dumps(str(self._directory / "jetstream")),
            route=self._route,
            routes=", ".join(f'"nats://{LOOPBACK}:{port}"' for port in self._routes),
        )


@dataclass
class Cluster:
    """Servers by name."""

    nodes: dict[str, ClusterNode]

    @property
    def url(self) -> str:
        """Where clients connect: all servers, separated by commas."""
        return ",".join(node.url for node in self.nodes.values())

    async def leader_of(self, connection: Client, stream: str) -> ClusterNode | None:
        """The server that leads the stream; None while there is none."""
        try:
            answer = await api(connection, f"STREAM.INFO.{stream}")
        except (Error, TimeoutError):
            return None
        return self.nodes.get(answer.get("cluster", {}).get("leader", ""))


@asynccontextmanager
async def nats_cluster(directory: Path) -> AsyncIterator[Cluster]:
    """A cluster that can make streams of three replicas."""
    free = free_ports(2 * SIZE)
    ports, routes = free[:SIZE], free[SIZE:]
    nodes = {}
    for number, (port, route) in enumerate(zip(ports, routes, strict=True)):
        (directory / f"n{number}").mkdir(parents=True)
        nodes[f"n{number}"] = ClusterNode(f"n{number}", directory / f"n{number}", port, route, routes)
    cluster = Cluster(nodes)
    try:
        await all_or_error(*[node.start() for node in nodes.values()])
        async with nats_connection(cluster.url, "test") as connection:
            await eventually(lambda: _takes_replicas(connection))
        yield cluster
    finally:
        for node in nodes.values():
            await node.stop()


async def _takes_replicas(connection: Client) -> bool:
    """Whether a stream of three replicas can be made now."""
    config = {"name": "READY", "subjects": ["ready"], "num_replicas": SIZE}
    try:
        answer = await api(connection, "STREAM.CREATE.READY", config)
    except (Error, TimeoutError):
        return False
    return "error" not in answer
