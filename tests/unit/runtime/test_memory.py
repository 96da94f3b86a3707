"""Large blocks that are freed come back to the next one, or go back to the system, as a service wants it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_BLOCKS = """
import resource, sys
import numpy as np
from shared.runtime import memory

getattr(memory, sys.argv[1])()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def scores():
    np.zeros((8, 100_000), np.float32).fill(1)

scores()
before = faults()
for _ in range(10):
    scores()
print(faults() - before)
"""
_PAGES = 10 * 8 * 100_000 * 4 // 4096

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the C library is told what glibc knows"
)


def _fresh_pages(freed: str) -> int:
    """How many pages ten blocks, one behind the other, take from the system."""
    command = [sys.executable, "-c", _BLOCKS, freed]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def test_blocks_that_are_kept_come_back_to_the_next_one():
    assert _fresh_pages("keep_for_the_next") < _PAGES / 10


def test_blocks_that_are_given_back_are_fetched_anew():
    assert _fresh_pages("give_back_at_once") >= _PAGES
