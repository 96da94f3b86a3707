"""What processes of the suite use: memory, and CPU time."""

from __future__ import annotations

import psutil

from tests.bench.world import SERVICES, World


def cpu_seconds(world: World) -> dict[str, float]:
    """CPU time that each process has used so far, by name; with that of the log's server."""
    pids = {name: world.suite.service(name).pid for name in SERVICES}
    if world.suite.brokers.nats is not None:
        pids["nats"] = world.suite.brokers.nats.pid
    return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}


def resident_bytes(pid: int) -> int:
    """Memory of a process that lies in RAM."""
    return int(psutil.Process(pid).memory_info().rss)
