"""What holds for all tests."""

import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from deploy.local import ports

# A busy machine is no defect: examples have no deadline of their own, pytest's timeout ends what hangs.
settings.register_profile("freshet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("freshet")


def pytest_configure() -> None:
    """Processes that test side by side pick their free ports from ranges of their own, so that none takes another's."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports.FREE_RANGE = ports.FREE_RANGE[number::count]


@pytest.fixture(autouse=True)
def logs_as_by_default() -> Iterator[None]:
    """What a test configures for its logs is not there for the next one, which may look at its own."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def terminal() -> Iterator[None]:
    """Its end is told, though it is to be ignored where tests run behind `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
