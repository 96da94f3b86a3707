"""A setting that does not fit what is there ends the process with code 2 and one line that names it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy.local.settings import REPOSITORY

SMALLEST = "tests.unit.runtime.serving"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def ended(module: str, **environment: str) -> list[str]:
    """The lines on stderr of a service that ends with code 2."""
    end = subprocess.run(
        [sys.executable, "-m", module],
        cwd=REPOSITORY,
        env={**os.environ, "FRESHET_GRPC_ADDRESS": "127.0.0.1:0", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert end.returncode == 2, end.stderr
    return end.stderr.splitlines()


def test_a_grpc_port_that_is_taken(taken_port):
    (line,) = ended(SMALLEST, FRESHET_GRPC_ADDRESS=f"127.0.0.1:{taken_port}")
    assert line == f"FRESHET_GRPC_ADDRESS='127.0.0.1:{taken_port}': the port is taken; set another host:port"


def test_a_metrics_port_that_is_taken(taken_port):
    (line,) = ended(SMALLEST, FRESHET_METRICS_PORT=str(taken_port))
    assert line.startswith(
        f"FRESHET_METRICS_PORT={taken_port}: cannot listen on 127.0.0.1: Address already in use"
    )


def test_a_preset_that_is_none():
    (line,) = ended("services.feature", FRESHET_DOMAIN="nope")
    assert line.startswith("FRESHET_DOMAIN='nope': there is no preset 'nope'; shipped are ")
