"""Bundles travel by NATS or through a directory: one set of rules for both."""

from __future__ import annotations

import asyncio

import pytest

from shared.adapters.codecs.bundle import pack, unpack
from shared.adapters.jetstream.bundle_store import BundleNotFoundError, BundleStore, bundle_store
from tests.builders import bundle

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(params=["nats", "directory"])
def store(request, space, tmp_path) -> BundleStore:
    url = "nats" if request.param == "nats" else str(tmp_path / "bundles")
    return bundle_store(url, space.nats, space.names)


async def test_a_bundle_comes_back_as_it_was(store):
    packed, sealed = pack(bundle(encoder=b"x" * 1_000_000))
    await store.put(sealed.digest, packed)
    assert unpack(await store.get(sealed.digest)).digest == sealed.digest


async def test_a_bundle_that_is_not_there_is_not_found(store):
    with pytest.raises(BundleNotFoundError):
        await store.get("ab" * 32)
    await store.put("cd" * 32, b"another")
    with pytest.raises(BundleNotFoundError):
        await store.get("ab" * 32)


async def test_storing_the_same_bundle_again_changes_nothing(store):
    await store.put("ab" * 32, b"content")
    await store.put("ab" * 32, b"content")
    assert await store.get("ab" * 32) == b"content"


async def test_two_who_store_at_once_store_one(store):
    await asyncio.gather(*[store.put("ab" * 32, b"content") for _ in range(4)])
    assert await store.get("ab" * 32) == b"content"


async def test_what_is_stored_is_told_by_its_digests(store):
    assert await store.digests() == []
    for digest in ("ab" * 32, "cd" * 32):
        await store.put(digest, b"content")
    assert sorted(await store.digests()) == ["ab" * 32, "cd" * 32]


async def test_a_deleted_bundle_is_gone_and_may_come_again(store):
    await store.put("ab" * 32, b"content")
    await store.put("cd" * 32, b"another")
    await store.delete("ab" * 32)
    await store.delete("ab" * 32)
    assert await store.digests() == ["cd" * 32]
    with pytest.raises(BundleNotFoundError):
        await store.get("ab" * 32)
    await store.put("ab" * 32, b"content")
    assert [await store.get(each) for each in ("ab" * 32, "cd" * 32)] == [b"content", b"another"]


async def test_nothing_of_a_deleted_bundle_stays_in_nats(space):
    store = bundle_store("nats", space.nats, space.names)
    await store.put("ab" * 32, bytes(1_000_000))
    await store.delete("ab" * 32)
    stream = await space.nats.jetstream().stream_info(f"OBJ_{space.names.bundles}")
    assert stream.state.messages == 0
