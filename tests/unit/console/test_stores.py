"""Where commands that look at what is stored find it."""

from services.console.stores import _local_database_url


def test_the_database_of_a_run_on_this_machine_is_found_by_its_directory(tmp_path, monkeypatch):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "password").write_text("secret")
    monkeypatch.setenv("FRESHET_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("FRESHET_POSTGRES_PORT", "15433")
    assert _local_database_url() == "postgresql://freshet:secret@127.0.0.1:15433/freshet"


def test_without_such_a_run_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("FRESHET_DIRECTORY", str(tmp_path))
    assert _local_database_url() is None
