"""`python -m services.trainer.offline` as typed."""

import numpy as np
import pytest

from services.trainer.offline import main


def test_a_bundle_that_could_not_be_written_is_refused_before_anything_is_learned(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--columns", str(tmp_path / "events.npz"), "--bundle", str(tmp_path / "none" / "model.bundle")])
    assert f"argument --bundle: there is no directory {tmp_path / 'none'}" in capsys.readouterr().err


def test_a_file_without_the_columns_of_events_is_named_with_what_it_must_hold(tmp_path):
    np.savez(tmp_path / "events.npz", position=np.arange(3))
    with pytest.raises(SystemExit, match=r"--columns .*events.npz: must be a .npz with position, user_key"):
        main(["--columns", str(tmp_path / "events.npz"), "--bundle", str(tmp_path / "model.bundle")])
