"""Ranking: what to show next.

The products scored here are too small to be shared among threads: with two, OpenBLAS spends most of its time waiting
for the other one. Set before numpy is imported, which reads it once.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
