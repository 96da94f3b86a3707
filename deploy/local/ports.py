"""TCP ports on loopback: picking free ones, and saying who holds a taken one."""

import errno
import random
import socket
from contextlib import closing
from dataclasses import dataclass

import psutil

from deploy.local.errors import PortForbidden, PortTaken

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections (32768 and up on Linux):
# a client that keeps reconnecting could otherwise be given the very port whose server is being restarted.
FREE_RANGE = range(20_000, 32_000)
_given: set[int] = set()
"""Ports that this process has picked: one whose server is not started yet is free to look at."""


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A port that somebody asked for; `number` 0: any free one; `variable` names the setting to change."""

    number: int
    variable: str


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now. Raises OSError if this account never may."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Distinct ports that are free now, rather such as were not picked before. Raises RuntimeError if the range has too
    few."""
    candidates = random.sample(FREE_RANGE, len(FREE_RANGE))
    candidates.sort(key=_given.__contains__)
    found = [port for _, port in zip(range(count), filter(is_free, candidates), strict=False)]
    if len(found) < count:
        raise RuntimeError(f"fewer than {count} free ports in {FREE_RANGE.start}..{FREE_RANGE.stop - 1}")
    _given.update(found)
    return found


def settle(request: PortRequest) -> int:
    """The port to use: the one asked for, or a free one. Raises PortTaken, PortForbidden."""
    if request.number == 0:
        return free_ports(1)[0]
    try:
        free = is_free(request.number)
    except PermissionError as error:
        raise PortForbidden(request.number, request.variable) from error
    if not free:
        raise PortTaken(request.number, holder_of(request.number), request.variable)
    return request.number


def holder_of(port: int) -> str:
    """The process that listens on the port, as "pid 12 (command line)", or that it cannot be told."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "a process that this account may not see"
    pids = [c.pid for c in connections if c.laddr and c.laddr.port == port and c.status == psutil.CONN_LISTEN]
    return next((describe(pid) for pid in pids if pid), "a process that this account may not see")


def describe(pid: int) -> str:
    """A process as people know it: its id and the start of its command line."""
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        command = "command unknown"
    return f"pid {pid} ({command[:120]})"
