"""What the launcher reports instead of a stack trace; every message says what to do or where to look."""


class LauncherError(Exception):
    """Base of everything that stops the launcher."""


class PortTaken(LauncherError):
    """A port that was asked for is in use: which, by whom, and the variable that changes it."""

    def __init__(self, port: int, holder: str, variable: str) -> None:
        super().__init__(f"port {port} is taken by {holder}; set {variable} to another port (0: a free one)")
        self.port, self.holder, self.variable = port, holder, variable


class DirectoryInUse(LauncherError):
    """Another launcher runs on the same data directory."""


class SettingsError(LauncherError):
    """One or more environment variables do not make sense; the message lists them all."""


class StartFailed(LauncherError):
    """A child process ended or stayed silent instead of becoming ready; quotes the end of its log."""
