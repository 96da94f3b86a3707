"""What a run keeps on disk is found by the next trainer, and is the run's alone."""

import pytest

from services.trainer.runs.run_directories import RunDirectories, Wish
from tests.unit.trainer_service.builders import JOB

WISH = Wish(2.5, "gru", "base")
NOW = JOB._replace(database_url="postgresql://now", directory="/now", code_revision="r2", seed=9)


@pytest.fixture
def directories(tmp_path) -> RunDirectories:
    kept = RunDirectories(str(tmp_path / "training"))
    kept.begin("one", WISH)
    return kept


def test_a_wish_comes_back(directories):
    assert directories.wish("one") == WISH
    assert directories.wish("two") is None


def test_a_job_comes_back_but_for_what_the_process_now_says(directories):
    directories.save_job("one", JOB)
    expected = JOB._replace(database_url="postgresql://now", directory="/now", code_revision="r2")
    assert directories.job("one", NOW) == expected


def test_the_databases_address_is_not_kept(directories, tmp_path):
    directories.save_job("one", JOB._replace(database_url="postgresql://user:secret@host/db"))
    assert not any(b"secret" in file.read_bytes() for file in (tmp_path / "training" / "one").iterdir())


def test_a_run_that_begins_again_keeps_its_job(directories):
    directories.save_job("one", JOB)
    directories.begin("one", WISH)
    assert directories.job("one", JOB) == JOB


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"unknown": 1}'])
def test_what_cannot_be_read_is_as_good_as_nothing(directories, tmp_path, content):
    for name in ("wish.json", "job.json"):
        (tmp_path / "training" / "one" / name).write_bytes(content)
    assert (directories.wish("one"), directories.job("one", NOW)) == (None, None)


def test_what_is_kept_is_for_the_trainers_user_alone(directories, tmp_path):
    assert (tmp_path / "training" / "one").stat().st_mode & 0o077 == 0


def test_a_run_is_forgotten_with_all_that_it_kept(directories, tmp_path):
    directories.begin("two", WISH)
    directories.forget("one")
    assert directories.run_ids() == ["two"]
