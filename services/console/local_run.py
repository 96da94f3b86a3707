"""What the launcher runs on this machine, for variables that are not set."""

from typing import TYPE_CHECKING

from services.console.failures import CommandFailed

if TYPE_CHECKING:
    from deploy.local.settings import SuiteSettings

DEFAULT_NATS_URL = "nats://127.0.0.1:4222"


def local_nats_url() -> str:
    """The log of the run on this machine, at FRESHET_NATS_PORT; at the default port where there is no launcher. Raises
    CommandFailed for settings that make no sense."""
    local = _settings()
    return DEFAULT_NATS_URL if local is None else f"nats://127.0.0.1:{local.nats_port}"


def local_database_url() -> str | None:
    """The database of the run on this machine; None where there is no launcher or no such run. Raises CommandFailed for
    settings that make no sense."""
    local = _settings()
    if local is None:
        return None
    from deploy.local.ports import PortRequest
    from deploy.local.postgres_server import PORT_VARIABLE, PostgresServer

    server = PostgresServer(local.directory / "postgres", PortRequest(local.postgres_port, PORT_VARIABLE))
    try:
        return server.url
    except FileNotFoundError:
        return None


def _settings() -> "SuiteSettings | None":
    """What the environment tells the launcher; None on a machine that has the console alone."""
    try:
        from deploy.local.errors import SettingsError
        from deploy.local.settings import SuiteSettings
    except ModuleNotFoundError:
        return None
    try:
        return SuiteSettings.from_environment()
    except SettingsError as error:
        raise CommandFailed(str(error)) from error
