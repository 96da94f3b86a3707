"""Several processes that train together learn what one would, and none outlives the others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.trainer.model.fitting.parallel import Ranks
from services.trainer.model.fitting.training import TrainedModel, train
from services.trainer.model.sequences import Passing, TokenBatch, token_batches, training_rows
from tests.unit.trainer.builders import PLAN, TINY, walks

EVENTS = walks(n_users=60)
STILL = replace(PLAN, encoder=replace(TINY, dropout=0.0), epochs=6)
PLANS = {
    "exact": STILL,
    "sampled": replace(STILL, exact_up_to=1, n_negatives=16),
    "one window a step": replace(STILL, batch_tokens=7, epochs=1),
    "dropout": PLAN,
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ranks(*arguments: str, count: int = 2) -> list[subprocess.Popen[bytes]]:
    """Processes of `tests.unit.trainer.rank`, started as torchrun does."""
    together = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.unit.trainer.rank", *arguments],
            env={**os.environ, **together, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
        )
        for rank in range(count)
    ]


def ends(processes: Sequence[subprocess.Popen[bytes]]) -> list[tuple[int, str]]:
    """Code and standard error of each; ends those that do not end by themselves, and the test with them."""
    try:
        errors = [process.communicate(timeout=120)[1].decode() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


@pytest.fixture(scope="module")
def together():
    """For each plan and rank, what two ranks learned: item vectors ``(V, D)`` and losses."""
    with tempfile.TemporaryDirectory() as directory:
        assert [code for code, error in ends(ranks("train", directory))] == [0, 0]
        yield {
            (name, rank): np.load(Path(directory) / f"{name}-{rank}.npz")
            for name in PLANS
            for rank in range(2)
        }


@pytest.mark.parametrize("name", ["exact", "sampled", "one window a step"])
def test_two_ranks_learn_what_one_process_learns(together, name):
    alone, found = train(EVENTS, PLANS[name]), together[name, 0]
    assert np.allclose(found["vectors"], alone.item_vectors, atol=2e-4)
    assert np.allclose(found["losses"], [report.loss for report in alone.curve], atol=1e-4)
    assert np.abs(alone.item_vectors - _untrained(name).item_vectors).max() > 10 * 2e-4


def _untrained(name: str) -> TrainedModel:
    return train(EVENTS, replace(PLANS[name], learning_rate=1e-12))


@pytest.mark.parametrize("name", PLANS)
def test_every_rank_ends_with_the_same_bits(together, name):
    assert together[name, 0]["vectors"].tobytes() == together[name, 1]["vectors"].tobytes()


def test_each_rank_drops_out_for_itself(together):
    assert together["dropout", 0]["drawn"] != together["dropout", 1]["drawn"]


def test_the_answers_that_the_first_rank_finds_count_for_all(tmp_path):
    assert [code for code, _ in ends(ranks("judge", str(tmp_path)))] == [0, 0]
    first, second = (np.load(tmp_path / f"judged-{rank}.npz") for rank in range(2))
    assert first["passes"] == second["passes"] == PLANS["exact"].epochs
    assert first["vectors"].tobytes() == second["vectors"].tobytes()


def test_a_rank_that_dies_ends_the_others():
    codes = [code for code, _ in ends(ranks("die", "0"))]
    assert codes[1] == -signal.SIGKILL
    assert codes[0] > 0


def test_ranks_that_are_given_different_events_say_so():
    found = ends(ranks("differ", "0"))
    assert all(code != 0 for code, _ in found)
    assert "rank 1 has other events or another plan than rank 0" in found[1][1]


def batch() -> TokenBatch:
    rows = training_rows(EVENTS, np.unique(EVENTS.item_key), PLAN.roles)
    return next(token_batches(rows, Passing(6, 64), np.random.default_rng(0)))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_shares_of_a_batch_hold_each_window_once(count):
    whole = batch()
    shares = [Ranks(rank, count).share_of(whole) for rank in range(count)]
    windows = np.concatenate([np.hstack([share.item, share.target]) for share in shares])
    assert sorted(map(tuple, windows)) == sorted(map(tuple, np.hstack([whole.item, whole.target])))


def test_a_rank_without_a_window_gets_one_that_teaches_nothing():
    whole = batch()
    share = Ranks(len(whole.item), len(whole.item) + 1).share_of(whole)
    assert len(share.item) == 1
    assert (share.target < 0).all() and (share.first_item < 0).all()


def test_torchrun_trains_a_bundle_over_two_processes(tmp_path):
    columns = {name: getattr(EVENTS, name) for name in EVENTS.__slots__}
    np.savez(tmp_path / "events.npz", **columns)
    told = {
        "FRESHET_TRAIN_DIRECTORY": str(tmp_path / "runs"),
        "FRESHET_TRAIN_ENCODER": "cnn",
        "FRESHET_DOMAIN": "video",
        "FRESHET_TRAIN_THREADS": "1",
        "FRESHET_TRAIN_MAX_MINUTES": "0.05",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += ["-m", "services.trainer.offline", "--columns", "events.npz", "--bundle", "model.bundle"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('["')]
    assert (tmp_path / "model.bundle").stat().st_size > 0
    assert [kind for kind, _ in reports].count("Finished") == 1
    assert not list((tmp_path / "runs").iterdir())
