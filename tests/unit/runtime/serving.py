"""The smallest service there can be, as a process: it reads settings, serves health and ends when it is told to."""

from __future__ import annotations

from shared.runtime.life_cycle import Service, run, serve
from shared.runtime.settings import ServiceSettings, read_settings

if __name__ == "__main__":
    settings = read_settings(ServiceSettings)

    async def main() -> None:
        """Serves until SIGTERM."""
        await serve(settings, Service(rpc_services=[], register=lambda server: None))

    run("smallest", settings, main)
