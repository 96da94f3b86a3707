"""A module as `child_process` runs it: tells what its environment says of OpenMP, a line each."""

from __future__ import annotations

import os
import sys

from shared.runtime.leash import Leash

if __name__ == "__main__":
    leash = Leash(int(sys.argv[1]))
    for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT"):
        leash.tell(f"{os.environ[name]}\n".encode())
