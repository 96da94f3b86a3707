"""A process that is held to its share is stopped only once nothing can leave it so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deploy.local.settings import REPOSITORY


@pytest.mark.skipif(sys.platform != "linux", reason="held on Linux alone")
def test_a_process_is_not_stopped_before_it_would_end_with_what_holds_it():
    command = [sys.executable, "-m", "tests.unit.runtime.slow_start"]
    held = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    assert held.stdout == "0\n"
