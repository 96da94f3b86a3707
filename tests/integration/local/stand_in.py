"""A stand-in for a service: a gRPC server with health only, told how to behave by STAND_IN.

"" serves; "crash" ends with code 1; "unwell" says NOT_SERVING; "stubborn" ignores SIGTERM; "dependent" serves only once
feature listens; "crash-beside FILE" ends with code 1 where the file exists.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

BEHAVIOUR = os.environ.get("STAND_IN", "")
NOT_SERVING, SERVING = health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING


async def main() -> None:
    """Serves until SIGTERM and says so in its log."""
    print(json.dumps({key: value for key, value in os.environ.items() if key.startswith("FRESHET_")}))
    stop = asyncio.Event()
    on_term = (lambda: None) if BEHAVIOUR == "stubborn" else stop.set
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, on_term)
    if BEHAVIOUR == "dependent":
        await listening(os.environ["FRESHET_FEATURE_ADDRESS"])
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    await servicer.set("", NOT_SERVING if BEHAVIOUR == "unwell" else SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(os.environ["FRESHET_GRPC_ADDRESS"])
    await server.start()
    await stop.wait()
    await server.stop(1.0)
    print("drained")


async def listening(address: str) -> None:
    """Returns when somebody listens there."""
    while True:
        try:
            _, writer = await asyncio.open_connection(*address.split(":"))
        except OSError:
            await asyncio.sleep(0.02)
        else:
            return writer.close()


if BEHAVIOUR == "crash" or Path(BEHAVIOUR.removeprefix("crash-beside ")).is_file():
    sys.exit("no such table: users")
asyncio.run(main())
