"""Which code made a model."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

_HERE = Path(__file__).resolve()


def code_revision(told: str) -> str:
    """`told` unless empty, else the git revision ("-dirty" with changes), else the version of the package."""
    return told or _git_revision() or f"freshet {version('freshet')}"


def _git_revision() -> str:
    """Empty where this file is in no repository, or there is no git."""
    if not _git("ls-files", "--error-unmatch", _HERE.name):
        return ""
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(*arguments: str) -> str:
    """Output of git, empty when it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(_HERE.parent), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
