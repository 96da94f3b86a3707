"""Users and deletions of items: each version once, bad fields named, deleted items no longer recommended."""

from __future__ import annotations

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from freshet.catalog.v1.item_pb2 import Item
from freshet.catalog.v1.user_pb2 import User
from freshet.event.v1.event_pb2 import Attribute
from shared.adapters.codecs.keys import item_key, user_key
from shared.adapters.jetstream.last_messages import last_messages
from shared.adapters.postgres.user_profiles import read_profile
from tests.builders import catalogue_item, message
from tests.conditions import eventually
from tests.integration.services.conftest import Running, services, words
from tests.integration.services.test_swaps import model, promote, sees_features
from tests.unit.ranking.model import ITEMS

YEAR_2100 = 4_102_444_800
pytestmark = pytest.mark.asyncio(loop_scope="session")


def user(user_id: str = "u1", **fields) -> User:
    return User(user_id=user_id, **{"language": "pt-BR", "country": "BR", **fields})


async def profile(running: Running, user_id: str) -> User | None:
    async with running.space.engine.connect() as connection:
        return await read_profile(connection, user_key(user_id))


async def test_a_user_is_written_once_for_each_version_and_archived(ingestion):
    first, second = user("v1"), user("v1", country="PT")
    for version in (first, first, second, second, first):
        answer = await ingestion.client.upsert_users([version])
        assert answer.outcomes[0].position
    outcomes = (await ingestion.client.upsert_users([first, second])).outcomes
    assert words(outcomes) == ["DUPLICATE", "ACCEPTED"]

    async def archived() -> bool:
        return await profile(ingestion, "v1") == second

    await eventually(archived)


@pytest.mark.parametrize(
    "bad, field",
    [
        (user(""), "user_id"),
        (user("x" * 129), "user_id"),
        (user(country="Germany"), "country"),
        (user(country="de"), "country"),
        (user(language="not a language"), "language"),
        (user(sign_up_time=Timestamp(seconds=10**15)), "sign_up_time"),
        (user(attributes={"a": Attribute(numbers=[float("nan")])}), 'attributes["a"]'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bad_user_is_refused_by_field_and_the_others_taken(ingestion, bad, field):
    answer = await ingestion.client.upsert_users([user("good"), bad])
    assert words(answer.outcomes)[1] == "REJECTED"
    assert [violation.field for violation in answer.outcomes[1].violations] == [f"users[1].{field}"]
    assert answer.outcomes[0].position


async def test_nobody_has_a_profile_who_was_never_written(ingestion):
    assert await profile(ingestion, "nobody") is None


async def newest(running: Running, item_id: str) -> Item:
    names = running.space.names
    subject = names.item_subject(item_key(item_id))
    found = await last_messages(running.space.nats, names.events, [subject])
    return Item.FromString(found[subject].payload)


async def test_what_a_call_holds_twice_is_written_once_and_both_are_answered_with_its_position(ingestion):
    items = [catalogue_item("twice"), catalogue_item("other"), catalogue_item("twice")]
    first, other, again = (await ingestion.client.upsert_items(items)).outcomes
    assert words([first, other, again]) == ["ACCEPTED", "ACCEPTED", "DUPLICATE"]
    assert again.position == first.position != other.position


async def test_an_item_is_deleted_once_and_comes_back_when_written_again(ingestion):
    item, client = catalogue_item("gone"), ingestion.client
    assert words((await client.delete_items(["gone"])).outcomes) == ["DUPLICATE"]
    await client.upsert_items([item])
    outcomes = (await client.delete_items(["gone", "gone", ""])).outcomes
    assert words(outcomes) == ["ACCEPTED", "DUPLICATE", "REJECTED"]
    assert (await newest(ingestion, "gone")).HasField("delete_time")
    assert words((await client.upsert_items([item, item])).outcomes) == ["ACCEPTED", "DUPLICATE"]
    assert await newest(ingestion, "gone") == item


@pytest.mark.parametrize("first, otherwise", [("caf\u00e9", "cafe\u0301"), ("padded", " padded ")])
async def test_an_item_is_the_same_however_its_id_is_spelt(ingestion, first, otherwise):
    client = ingestion.client
    await client.upsert_items([catalogue_item(first)])
    assert words((await client.upsert_items([catalogue_item(otherwise)])).outcomes) == ["ACCEPTED"]
    assert words((await client.delete_items([first, otherwise])).outcomes) == ["ACCEPTED", "DUPLICATE"]
    assert (await newest(ingestion, otherwise)).HasField("delete_time")


async def test_a_user_is_the_same_however_the_id_is_spelt(ingestion):
    await ingestion.client.upsert_users([user("ren\u00e9")])
    outcomes = (await ingestion.client.upsert_users([user("rene\u0301", country="FR")])).outcomes
    assert words(outcomes) == ["ACCEPTED"]


async def test_a_sender_cannot_set_when_an_item_was_deleted(ingestion):
    await ingestion.client.upsert_items([catalogue_item("kept", delete_time=Timestamp(seconds=1))])
    assert not (await newest(ingestion, "kept")).HasField("delete_time")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(brokers, tmp_path_factory):
    """Services, a catalogue, and a user who clicked "a"."""
    names = ("ingestion", "feature", "ranking")
    async with services(brokers, tmp_path_factory.mktemp("deletions"), names) as started:
        await started.client.upsert_items([catalogue_item(each) for each in ITEMS])
        await started.client.write_user_event(message("click", items=["a"]))
        await eventually(lambda: sees_features(started))
        yield started


async def recommended(running: Running, user_id: str = "u1") -> set[str]:
    return {result.item_id for result in (await running.client.recommend(user_id)).results}


async def leaves_and_comes_back(running: Running, item_id: str) -> None:
    await running.client.delete_items([item_id])

    async def left() -> bool:
        return item_id not in await recommended(running)

    await eventually(left, timeout=2)
    await running.client.upsert_items([catalogue_item(item_id)])

    async def back() -> bool:
        return item_id in await recommended(running)

    await eventually(back, timeout=2)


async def test_without_a_model_a_deleted_item_leaves_recommendations_until_it_is_written_again(running):
    assert ITEMS[1] in await recommended(running)
    await leaves_and_comes_back(running, ITEMS[1])


async def test_with_a_model_a_deleted_item_leaves_recommendations_until_it_is_written_again(running):
    version = await promote(running, model(1))

    async def serves() -> bool:
        return (await running.client.recommend("u1")).model_version == version

    await eventually(serves)
    await leaves_and_comes_back(running, ITEMS[1])


async def test_an_item_that_cannot_be_had_yet_is_not_recommended_until_it_can(running):
    later = catalogue_item("later", available_time=Timestamp(seconds=YEAR_2100))
    await running.client.upsert_items([later])
    await running.client.upsert_items([catalogue_item("behind it")])

    async def shown() -> set[str]:
        return {"later", "behind it"} & await recommended(running)

    assert await eventually(shown) == {"behind it"}
    await running.client.upsert_items([catalogue_item("later", available_time=Timestamp(seconds=1))])

    async def both() -> bool:
        return len(await shown()) == 2

    await eventually(both)
    await running.client.delete_items(["later", "behind it"])


async def test_histories_still_name_a_deleted_item(running):
    await running.client.delete_items(["a"])
    answer = await running.client.get_user_features("u1")
    assert "a" in str(answer)
    await running.client.upsert_items([catalogue_item("a")])
