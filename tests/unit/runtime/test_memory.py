"""Large blocks that are freed come back to the next one, or go back to the system, as a service wants it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_BLOCKS = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
import numpy as np
from shared.runtime import memory

getattr(memory, sys.argv[1])()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def scores():
    np.zeros((8, 100_000), np.float32).fill(1)

threads, lock = int(sys.argv[2]), Lock()
all_there = Barrier(threads)

def by_turns(thread):
    all_there.wait()
    for _ in range(50 // threads):
        with lock:
            scores()

scores()
before = faults()
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(by_turns, range(threads)))
print(faults() - before)
"""
_PAGES = 50 * 8 * 100_000 * 4 // 4096

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the C library is told what glibc knows"
)


def _fresh_pages(freed: str, threads: int = 1) -> int:
    """How many pages fifty blocks, one behind the other, by so many threads in turns, take from the system."""
    command = [sys.executable, "-c", _BLOCKS, freed, str(threads)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def test_blocks_that_are_kept_come_back_to_the_next_one():
    assert _fresh_pages("keep_for_the_next") < _PAGES / 10


def test_blocks_that_are_kept_in_one_place_come_back_to_whichever_thread_is_next():
    assert _fresh_pages("keep_for_the_next", threads=10) >= _PAGES / 5
    assert _fresh_pages("keep_in_one_place", threads=10) < _PAGES / 10


def test_blocks_that_are_given_back_are_fetched_anew():
    assert _fresh_pages("give_back_at_once") >= _PAGES
