"""What holds for all tests."""

import os

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
