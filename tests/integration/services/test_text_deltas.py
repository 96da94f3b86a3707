"""An item that nobody has touched is known by what its title means: from the catalogue's log to the stored delta."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from shared.adapters.codecs.keys import item_key
from tests.builders import bundle, catalogue_item
from tests.conditions import eventually
from tests.integration.services.conftest import Running, services
from tests.integration.services.test_deltas import stored, trainer
from tests.integration.services.test_swaps import promote

pytestmark = pytest.mark.asyncio(loop_scope="session")
KINDS = (
    "sofa armchair table desk bookshelf wardrobe dresser bench cupboard bed nightstand recliner",
    "espresso tea juice lemonade cocoa wine beer cider milk water cola coffee",
    "dog cat rabbit hamster parrot goldfish turtle pony canary ferret mouse chicken",
)
"""Titles of the table's items, a line for each kind; no word is there twice."""
KIND_OF = {title: kind for kind, line in enumerate(KINDS) for title in line.split()}


@pytest_asyncio.fixture(loop_scope="session")
async def running(brokers, tmp_path):
    """A catalogue in the log, and a model in which items of a kind are the same."""
    async with services(brokers, tmp_path, ("ingestion",)) as started:
        await write_catalogue(started)
        yield started


async def write_catalogue(running: Running) -> None:
    await running.client.upsert_items([catalogue_item(title, title=title) for title in KIND_OF])


async def champion(running: Running) -> str:
    """Registers the model, as one that has learned all of the log."""
    made = bundle(list(KIND_OF))
    kinds = {item_key(title): kind for title, kind in KIND_OF.items()}
    vectors = np.eye(3, 4, dtype=np.float32)[[kinds[key] for key in made.item_keys.tolist()]]
    manifest = replace(made.manifest, log_to=await running.log_length())
    return await promote(running, replace(made, item_vectors=vectors, manifest=manifest))


async def told(running: Running, version: str) -> dict[int, np.ndarray]:
    """The newest rows of new items, by key."""
    rows: dict[int, np.ndarray] = {}
    for delta in await stored(running, version):
        rows.update(zip(delta.item_keys.tolist(), delta.vectors, strict=True))
    return rows


async def kinds(running: Running, version: str, *items: str) -> dict[str, int]:
    """Which kind each of these items looks like most, as soon as all have a row."""

    async def all_told() -> dict[int, np.ndarray] | None:
        rows = await told(running, version)
        return rows if all(item_key(item) in rows for item in items) else None

    rows = await eventually(all_told)
    return {item: int(rows[item_key(item)].argmax()) for item in items}


async def test_an_item_whose_title_shares_no_word_gets_a_vector_near_those_that_mean_the_same(running):
    version = await champion(running)
    async with trainer(running, "wordllama"):
        await running.client.upsert_items([catalogue_item(each, title=each) for each in ("puppy", "couch")])
        assert await kinds(running, version, "puppy", "couch") == {"puppy": 2, "couch": 0}


async def test_items_that_were_there_before_the_trainer_are_told_too(running):
    await running.client.upsert_items([catalogue_item("latte", title="Latte")])
    version = await champion(running)
    async with trainer(running, "wordllama"):
        assert await kinds(running, version, "latte") == {"latte": 1}


async def test_an_item_that_changes_its_title_moves(running):
    version = await champion(running)
    async with trainer(running, "wordllama"):
        await running.client.upsert_items([catalogue_item("n", title="puppy")])
        assert await kinds(running, version, "n") == {"n": 2}
        await running.client.upsert_items([catalogue_item("n", title="couch")])
        await eventually(lambda: looks_like(running, version, "n", 0))


async def looks_like(running: Running, version: str, item: str, kind: int) -> bool:
    return await kinds(running, version, item) == {item: kind}


async def test_without_the_setting_only_words_count(running):
    version = await champion(running)
    async with trainer(running, "none"):
        new = [catalogue_item("puppy", title="puppy"), catalogue_item("n", title="dog")]
        await running.client.upsert_items(new)
        assert await kinds(running, version, "n") == {"n": 2}
        assert item_key("puppy") not in await told(running, version)


async def test_the_trainers_setting_is_all_it_takes(brokers, tmp_path):
    told = {"text_embeddings": "wordllama", "delta_seconds": "0.1"}
    async with services(brokers, tmp_path, ("ingestion", "trainer"), **told) as running:
        await write_catalogue(running)
        version = await champion(running)
        await running.client.upsert_items([catalogue_item("puppy", title="puppy")])
        assert await kinds(running, version, "puppy") == {"puppy": 2}
