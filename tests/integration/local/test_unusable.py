"""Places that cannot be used: one line that names the variable to change."""

import socket
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.brokers import BrokerSettings, local_brokers
from deploy.local.errors import DirectoryUnusable, PortForbidden
from deploy.local.ports import PortRequest, settle
from deploy.local.suite import local_suite
from tests.integration.local.conftest import without_brokers

UNUSABLE = [Path("/etc/passwd"), Path("/proc/foo")]


@pytest.mark.parametrize("directory", UNUSABLE)
async def test_a_directory_for_brokers(directory):
    with pytest.raises(DirectoryUnusable, match=rf"^{directory}\S* cannot be used.*FRESHET_DIRECTORY"):
        async with local_brokers(BrokerSettings(directory=directory)):
            pass


@pytest.mark.parametrize("directory", UNUSABLE)
async def test_a_directory_for_the_logs_of_services_whose_brokers_run_elsewhere(directory):
    with pytest.raises(DirectoryUnusable, match=rf"^{directory}\S* cannot be used.*FRESHET_DIRECTORY"):
        async with local_suite(without_brokers(directory, services=("ranking",))):
            pass


def test_a_port_that_this_account_may_not_listen_on(monkeypatch):
    monkeypatch.setattr(ports.socket, "socket", Unprivileged)
    with pytest.raises(PortForbidden, match=r"^port 81 is not allowed.*FRESHET_RANKING_PORT"):
        settle(PortRequest(81, "FRESHET_RANKING_PORT"))


class Unprivileged(socket.socket):
    """A socket as it is for an account without the capability: tests may run as root."""

    def bind(self, address):
        """Refuses low ports."""
        if address[1] < 1024:
            raise PermissionError(13, "Permission denied")
        super().bind(address)
