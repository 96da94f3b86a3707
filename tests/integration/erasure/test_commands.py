"""`freshet erase` and `freshet verify-erasure`, as typed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import pytest_asyncio
import sqlalchemy as sa

from freshet.feature.v1 import feature_pb2, feature_pb2_grpc
from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from freshet.log.v1.log_pb2 import Erasure
from shared.adapters.codecs.keys import partition_of, signed, user_key
from shared.adapters.postgres.tables import erasure_targets, erasures, events, user_states
from tests.builders import message
from tests.conditions import eventually
from tests.integration import forked
from tests.integration.erasure.world import PARTITIONS, ErasureWorld
from tests.integration.forked import Ended

pytestmark = pytest.mark.asyncio(loop_scope="session")
SUBJECT_OF_ANN = f"events.v1.{partition_of(user_key('ann'), PARTITIONS)}.click"


async def freshet(world: ErasureWorld, *arguments: str, stdin: str = "", **environment: str) -> Ended:
    """A command in a process of its own that finds the world by environment."""
    told = {
        "FRESHET_NATS_URL": world.space.brokers.nats_url,
        "FRESHET_DATABASE_URL": world.space.brokers.database_url,
        "FRESHET_NAMESPACE": world.space.name,
        "FRESHET_FEATURE_ADDRESS": "127.0.0.1:1",
        **environment,
    }
    if world.running is not None:
        told["FRESHET_INGESTION_ADDRESS"] = world.running.suite.address("ingestion")
    return await forked.freshet(arguments, stdin, told)


def left(ended: Ended) -> dict[str, int | None]:
    """What `verify-erasure --json` has found, where it has found anything."""
    return {place: left for place, left in json.loads(ended.stdout)["left"].items() if left}


async def test_erase_shows_the_receipt_and_verify_finds_nothing_left(world, ann):
    await world.leave_traces(ann)
    erased = await freshet(world, "erase", ann, "--yes", "--json")
    assert erased.code == 0, erased.stderr
    receipt = json.loads(erased.stdout)
    assert (receipt["deleted_events"], receipt["deleted_exposures"]) == (3, 2)
    verified = await freshet(world, "verify-erasure", "--receipt", receipt["receipt_id"], "--json")
    assert (verified.code, left(verified)) == (0, {}), verified.stderr


async def test_erase_asks_first_and_does_nothing_without_a_yes(world, ann):
    await world.act(ann, 1)
    refused = await freshet(world, "erase", ann, stdin="n\n")
    assert refused.code != 0
    assert "for good?" in refused.stderr
    assert (await world.holds_of(ann))["events"] == 1


async def test_verify_with_another_number_of_partitions_than_the_logs_names_both(world, ann):
    ended = await freshet(world, "verify-erasure", ann, FRESHET_PARTITIONS="8")
    told = f"has {PARTITIONS} partitions, and FRESHET_PARTITIONS is 8: set it to {PARTITIONS} or not at all"
    assert ended.code == 1
    assert told in ended.stderr.replace("\n", " ")


async def test_verify_of_a_user_who_was_never_erased_says_so(world, ann):
    ended = await freshet(world, "verify-erasure", ann)
    assert ended.code == 1
    assert f"no completed erasure of user '{ann}'" in ended.stderr


async def test_verify_without_a_user_or_a_receipt_is_wrong_usage(still_world):
    assert (await freshet(still_world, "verify-erasure")).code == 2


async def test_verify_without_nats_names_the_variable(still_world):
    ended = await freshet(still_world, "verify-erasure", "ann", FRESHET_NATS_URL="nats://127.0.0.1:1")
    assert ended.code == 1
    assert "FRESHET_NATS_URL" in ended.stderr


@pytest_asyncio.fixture(loop_scope="session")
async def receipt(still_world) -> ErasureReceipt:
    """The receipt of an erasure of "ann" that claims to have gone up to position 11 and to the tenth message of the
    other streams; the log holds ten messages of another user before it."""
    for number in range(10):
        await still_world.publish("events.v1.0.click", message(user_id=f"bob-{number}").SerializeToString())
    claimed = ErasureReceipt(receipt_id="r1", user_key=user_key("ann"), position=100, first_position=3)
    claimed.exposures_sequence = claimed.dead_letters_sequence = 10
    claimed.complete_time.GetCurrentTime()
    return claimed


async def claim(world: ErasureWorld, receipt: ErasureReceipt) -> None:
    """Put the completion into the log."""
    subject = f"erasures.v1.{partition_of(user_key('ann'), PARTITIONS)}"
    await world.publish(subject, Erasure(receipt=receipt).SerializeToString())


async def plant_event(world: ErasureWorld) -> None:
    await world.publish(SUBJECT_OF_ANN, message(user_id="ann").SerializeToString())


async def plant_unreadable_event(world: ErasureWorld) -> None:
    await world.publish(SUBJECT_OF_ANN, message(user_id="ann").SerializeToString() + b"\xff")


async def plant_profile(world: ErasureWorld) -> None:
    await world.describe("ann", "en")


async def plant_exposure(world: ErasureWorld) -> None:
    await world.show("ann", 5)


async def plant_exposure_behind_the_receipt(world: ErasureWorld) -> None:
    for _ in range(10):
        await world.show("bob", 5)
    await world.show("ann", 5)


async def plant_letter(world: ErasureWorld) -> None:
    await world.refuse(message("stare", user_id="ann").SerializeToString())


async def plant_json_letter(world: ErasureWorld) -> None:
    await world.refuse(b'{"eventType": "stare", "user_id": "a\\u006en", "items": [{')


async def plant_row(world: ErasureWorld) -> None:
    row = (9, "id", 3, signed(user_key("ann")), 1, 0, b"", b"", b"")
    await insert(world, events, row)


async def plant_state(world: ErasureWorld) -> None:
    await insert(world, user_states, (3, signed(user_key("ann")), b"record", b""))


async def plant_target(world: ErasureWorld) -> None:
    await insert(world, erasure_targets, ("r1", "EVENTS", 9))


async def insert(world: ErasureWorld, table: sa.Table, row: tuple[Any, ...]) -> None:
    async with world.space.engine.begin() as connection:
        await connection.execute(sa.insert(table).values(row))


@pytest.mark.parametrize(
    "plant, place",
    [
        (plant_event, "log, events"),
        (plant_unreadable_event, "log, events"),
        (plant_profile, "log, profile"),
        (plant_exposure, "exposures"),
        (plant_exposure_behind_the_receipt, "exposures"),
        (plant_letter, "dead letters"),
        (plant_json_letter, "dead letters"),
        (plant_row, "table event"),
        (plant_state, "table user_state"),
        (plant_target, "table erasure_target"),
    ],
)
async def test_verify_finds_what_is_left_in_each_place_and_ends_with_1(still_world, receipt, plant, place):
    await plant(still_world)
    await claim(still_world, receipt)
    ended = await freshet(still_world, "verify-erasure", "ann", "--json")
    assert left(ended) == {place: 1}
    assert (ended.code, f"{place} (1)" in ended.stderr) == (1, True)


async def test_verify_does_not_mind_what_the_user_did_behind_the_receipt(still_world, receipt):
    receipt.position = 10
    await claim(still_world, receipt)
    await plant_event(still_world)
    await plant_state(still_world)
    await still_world.show("ann", 12)
    ended = await freshet(still_world, "verify-erasure", "--receipt", "r1", "--json")
    assert (ended.code, left(ended)) == (0, {}), ended.stderr


async def test_verify_does_not_mind_other_users_in_the_same_places(still_world, receipt):
    await still_world.publish(SUBJECT_OF_ANN, message(user_id="bob").SerializeToString())
    await still_world.refuse(b'{"user_id": "bob"}')
    await still_world.show("bob", 5)
    await claim(still_world, receipt)
    assert left(await freshet(still_world, "verify-erasure", "ann", "--json")) == {}


async def test_verify_finds_what_the_live_feature_service_still_says(still_world, receipt):
    await claim(still_world, receipt)
    with features_of_ann() as address:
        ended = await freshet(still_world, "verify-erasure", "ann", "--json", FRESHET_FEATURE_ADDRESS=address)
    assert (ended.code, left(ended)) == (1, {"live features": 2})


async def test_verify_does_not_take_a_feature_service_that_does_not_answer_for_one_that_has_forgotten(
    still_world, receipt
):
    await claim(still_world, receipt)
    ended = await freshet(still_world, "verify-erasure", "ann", "--json")
    assert (ended.code, json.loads(ended.stdout)["left"]["live features"]) == (1, None)
    assert "not known whether anything is left in: live features" in ended.stderr


async def test_verify_of_a_receipt_alone_needs_no_feature_service(still_world, receipt):
    await claim(still_world, receipt)
    ended = await freshet(still_world, "verify-erasure", "--receipt", "r1", "--json")
    assert (ended.code, json.loads(ended.stdout)["left"]["live features"]) == (0, None)


async def test_verify_waits_for_the_checkpoint_with_which_features_drop_the_user(start, ann):
    world = await start("ingestion", "feature", checkpoint_seconds="4")
    await world.act(ann, 1)
    await eventually(lambda: stored_states(world, ann))
    await world.erase(ann)
    address = world.running.suite.address("feature")
    ended = await freshet(world, "verify-erasure", ann, "--json", FRESHET_FEATURE_ADDRESS=address)
    assert (ended.code, left(ended)) == (0, {}), ended.stderr


async def stored_states(world: ErasureWorld, user: str) -> int:
    """How many rows hold the folded state of a user."""
    of_user = sa.select(sa.func.count()).where(user_states.c.user_key == signed(user_key(user)))
    async with world.space.engine.connect() as connection:
        return (await connection.execute(of_user)).scalar_one()


async def test_verify_lists_the_models_that_the_registry_marks(still_world, receipt):
    await claim(still_world, receipt)
    await still_world.register_model("m1", 9)
    await insert(still_world, erasures, ("r1", signed(user_key("ann")), 3, 11))
    ended = await freshet(still_world, "verify-erasure", "--receipt", "r1", "--json")
    assert json.loads(ended.stdout)["marked_models"] == ["m1"]


class features_of_ann:
    """A feature service that has not forgotten ann: `with features_of_ann() as address`."""

    def __enter__(self) -> str:
        self._server = grpc.server(ThreadPoolExecutor(1))
        feature_pb2_grpc.add_FeatureServiceServicer_to_server(_Unforgetting(), self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        return f"127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()


class _Unforgetting(feature_pb2_grpc.FeatureServiceServicer):
    def GetUserFeatures(self, request, context):
        return feature_pb2.GetUserFeaturesResponse(event_counts={"click": 2})
