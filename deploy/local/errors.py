"""What the launcher reports instead of a stack trace; every message says what to do or where to look."""

from pathlib import Path


class LauncherError(Exception):
    """Base of everything that stops the launcher."""


class PortTaken(LauncherError):
    """A port that was asked for is in use: which, by whom, and the variable that changes it."""

    def __init__(self, port: int, holder: str, variable: str) -> None:
        super().__init__(f"port {port} is taken by {holder}; set {variable} to another port (0: a free one)")
        self.port, self.holder, self.variable = port, holder, variable


class PortForbidden(LauncherError):
    """A port that this account may not listen on: which, and the variable that changes it."""

    def __init__(self, port: int, variable: str) -> None:
        super().__init__(
            f"port {port} is not allowed to this account; set {variable} to another port, above 1023 (0: a free one)"
        )
        self.port, self.variable = port, variable


class DirectoryUnusable(LauncherError):
    """The data directory cannot be made or written to: why, and what changes it."""

    def __init__(self, path: Path, reason: OSError) -> None:
        super().__init__(
            f"{path} cannot be used ({reason.strerror}); set FRESHET_DIRECTORY or --directory to a directory of yours"
        )


class DirectoryInUse(LauncherError):
    """Another launcher runs on the same data directory."""


class BrokerAway(LauncherError):
    """A server that was not started here does not take us: which, where, why, and the variable that changes it."""

    def __init__(self, kind: str, place: str, reason: str, variable: str) -> None:
        super().__init__(
            f"{kind} at {place} cannot be used ({reason}); start it, correct {variable}, or unset it: "
            f"then one is started here"
        )


class SettingsError(LauncherError):
    """One or more environment variables do not make sense; the message lists them all."""


class StartFailed(LauncherError):
    """A child process ended or stayed silent instead of becoming ready; quotes the end of its log."""


class EndedEarly(StartFailed):
    """A child process ended before it was ready: its exit code, negative for a signal, and the end of its log."""

    def __init__(self, name: str, returncode: int, log_tail: str) -> None:
        super().__init__(f"{name} ended with code {returncode}\n{log_tail}")
        self.returncode, self.log_tail = returncode, log_tail
