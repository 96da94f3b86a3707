"""A ranking server of the same runtime that does nothing: `python -m tests.bench.empty_server ADDRESS FILE`.

FILE holds a serialised RecommendResponse, the answer to every call.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import grpc

from freshet.ranking.v1 import ranking_pb2, ranking_pb2_grpc
from shared.runtime.life_cycle import Service, run, serve
from shared.runtime.rpc import unary
from shared.runtime.settings import ServiceSettings


class EmptyServicer(ranking_pb2_grpc.RankingServiceServicer):
    """Answers always the same."""

    def __init__(self, response: ranking_pb2.RecommendResponse) -> None:
        self._response = response

    @unary
    async def Recommend(
        self, request: ranking_pb2.RecommendRequest, context: grpc.aio.ServicerContext
    ) -> ranking_pb2.RecommendResponse:
        return self._response


def main(address: str, file: str) -> None:
    """Serve until SIGTERM."""
    servicer = EmptyServicer(ranking_pb2.RecommendResponse.FromString(Path(file).read_bytes()))
    register = partial(ranking_pb2_grpc.add_RankingServiceServicer_to_server, servicer)
    settings = ServiceSettings(grpc_address=address, drain_notice_seconds=0.0)
    service = Service(rpc_services=["freshet.ranking.v1.RankingService"], register=register)
    run("empty", settings, partial(serve, settings, service))


if __name__ == "__main__":
    main(*sys.argv[1:])
