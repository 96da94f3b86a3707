"""The newest exposures of a real stream, kept for the process that learns."""

from __future__ import annotations

import pytest

from freshet.log.v1.log_pb2 import Exposure
from services.trainer.patience import StillAwayError
from services.trainer.reading import exposure_reading
from services.trainer.reading.exposure_reading import forget_exposures, keep_exposures, kept_exposures
from shared.adapters.codecs.keys import item_keys, user_key

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def publish(space, *users: str) -> None:
    """One exposure for each, at positions 1, 2, ..."""
    for position, user in enumerate(users, 1):
        await publish_at(space, position, user)


async def publish_at(space, position: int, user: str) -> None:
    exposure = Exposure(user_id=user, position=position, item_keys=item_keys(["a", "b"]).tobytes())
    subject = space.names.subject("exposures.v1.3")
    await space.nats.jetstream().publish(subject, exposure.SerializeToString())


async def test_the_newest_exposures_are_kept_and_what_cannot_be_read_is_passed_over(
    space, tmp_path, monkeypatch
):
    monkeypatch.setattr(exposure_reading, "NEWEST", 3)
    await publish(space, "u1", "u2", "u3")
    await space.nats.jetstream().publish(space.names.subject("exposures.v1.0"), b"\xff\xff")
    await keep_exposures(space.nats, space.names, tmp_path)
    kept = kept_exposures(tmp_path)
    assert kept.exposed.user_key.tolist() == [user_key("u2")] * 2 + [user_key("u3")] * 2
    assert kept.exposed.item_key.tolist() == item_keys(["a", "b"]).tolist() * 2


async def test_of_a_time_before_the_newest_exposures_nothing_is_known(space, tmp_path, monkeypatch):
    monkeypatch.setattr(exposure_reading, "NEWEST", 2)
    await publish(space, "u1", "u2", "u3")
    await keep_exposures(space.nats, space.names, tmp_path)
    assert kept_exposures(tmp_path).known_from == 3  # behind position 2, which the second one reflects


async def test_an_answer_without_a_state_does_not_make_known_what_was_served_before(
    space, tmp_path, monkeypatch
):
    monkeypatch.setattr(exposure_reading, "NEWEST", 2)
    await publish(space, "u1", "u2")
    await publish_at(space, 0, "u3")
    await keep_exposures(space.nats, space.names, tmp_path)
    assert kept_exposures(tmp_path).known_from == 3


async def test_where_every_exposure_is_kept_all_is_known(space, tmp_path):
    await publish(space, "u1", "u2", "u3")
    await keep_exposures(space.nats, space.names, tmp_path)
    assert kept_exposures(tmp_path).known_from == 0


async def test_what_was_kept_stays_until_it_is_forgotten(space, tmp_path):
    await publish(space, "u1")
    await keep_exposures(space.nats, space.names, tmp_path)
    await publish(space, "u2")
    await keep_exposures(space.nats, space.names, tmp_path)
    assert set(kept_exposures(tmp_path).exposed.user_key.tolist()) == {user_key("u1")}
    forget_exposures(tmp_path)
    await keep_exposures(space.nats, space.names, tmp_path)
    assert set(kept_exposures(tmp_path).exposed.user_key.tolist()) == {user_key("u1"), user_key("u2")}


@pytest.mark.parametrize("left", [0, 100, -30])
async def test_of_a_file_that_was_cut_off_nothing_is_taken_and_exposures_are_read_again(
    space, tmp_path, left
):
    await publish(space, "u1")
    await keep_exposures(space.nats, space.names, tmp_path)
    file = tmp_path / "exposures.npz"
    file.write_bytes(file.read_bytes()[:left])
    await keep_exposures(space.nats, space.names, tmp_path)
    assert set(kept_exposures(tmp_path).exposed.user_key.tolist()) == {user_key("u1")}


async def test_an_empty_stream_keeps_nothing(space, tmp_path):
    await keep_exposures(space.nats, space.names, tmp_path)
    assert len(kept_exposures(tmp_path).exposed) == 0
    assert kept_exposures(tmp_path).known_from == 0


async def test_while_nats_is_away_nothing_is_judged_as_if_nothing_had_been_recommended(
    space, tmp_path, brokers, monkeypatch
):
    monkeypatch.setattr(exposure_reading, "_WAIT_SECONDS", 0.5)
    await publish(space, "u1")
    brokers.nats.pause()
    try:
        with pytest.raises(StillAwayError):
            await keep_exposures(space.nats, space.names, tmp_path)
    finally:
        brokers.nats.resume()
    monkeypatch.undo()
    await keep_exposures(space.nats, space.names, tmp_path)
    assert set(kept_exposures(tmp_path).exposed.user_key.tolist()) == {user_key("u1")}
