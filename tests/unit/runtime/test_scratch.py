"""Files on the way go with the process that made them, also when that is killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from shared.runtime.scratch import scratch_directory

_WHILE_IT_LIVES = """
import sys
from shared.runtime.scratch import scratch_directory
with scratch_directory("test") as directory:
    (directory / "file").write_text("content")
    print(directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """The system's directory for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def somebody() -> tuple[subprocess.Popen, Path]:
    """Another process, and the directory that it works in."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WHILE_IT_LIVES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, Path(process.stdout.readline().strip())


def killed(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def test_a_directory_is_gone_when_it_is_left(temporary):
    with scratch_directory("test") as directory:
        (directory / "file").write_text("content")
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_has_left_is_gone_with_the_next():
    process, left = somebody()
    killed(process)
    assert (left / "file").exists()
    with scratch_directory("test"):
        assert not left.exists()


def test_what_a_living_process_works_in_stays():
    process, used = somebody()
    with scratch_directory("test"):
        assert (used / "file").exists()
    killed(process)


def test_what_is_of_another_purpose_or_is_being_made_stays(temporary):
    others = [temporary / "freshet-test-just-made", temporary / "freshet-training-0"]
    for other in others:
        other.mkdir()
    with scratch_directory("test"):
        assert all(other.exists() for other in others)
