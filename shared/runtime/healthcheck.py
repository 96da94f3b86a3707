"""Exit 0 when the service on this machine says SERVING: the health check of the containers.

Usage: python -m shared.runtime.healthcheck [host:port]   (default: FRESHET_GRPC_ADDRESS)
"""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.runtime.channels import NO_PROXY


def main(arguments: list[str]) -> int:
    """Ask once; 0 for SERVING, 1 for anything else, with the reason on stderr."""
    address = arguments[0] if arguments else os.environ.get("FRESHET_GRPC_ADDRESS", "127.0.0.1:50050")
    address = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    try:
        with grpc.insecure_channel(address, NO_PROXY) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
    except grpc.RpcError as error:
        print(f"{address}: {error.details()}", file=sys.stderr)
        return 1
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    print(f"{address}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}", file=sys.stderr)
    return 0 if serving else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
