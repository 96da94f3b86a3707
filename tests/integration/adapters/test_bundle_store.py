"""Bundles travel by NATS or through a directory: one set of rules for both."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Iterator

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


@pytest.mark.parametrize("lost", [1, 3, 8])
async def test_a_bundle_of_which_nats_has_lost_a_part_is_told_of_at_once(space, lost):
    store = bundle_store("nats", space.nats, space.names)
    await store.put("ab" * 32, bytes(1_000_000))
    await space.nats.jetstream().delete_msg(f"OBJ_{space.names.bundles}", lost)
    with pytest.raises(BundleNotFoundError, match="of its 1000000 bytes are gone"):
        async with asyncio.timeout(5):
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


async def messages(space) -> int:
    """How many the bucket holds."""
    return (await space.nats.jetstream().stream_info(f"OBJ_{space.names.bundles}")).state.messages


async def test_content_that_a_killed_writer_left_in_nats_is_deleted_once_it_is_old(space):
    store = bundle_store("nats", space.nats, space.names)
    await store.put("ab" * 32, b"content")
    whole = await messages(space)
    await space.nats.jetstream().publish(f"$O.{space.names.bundles}.C.of-no-entry", b"a part")
    await store.delete_unfinished()
    assert await messages(space) == whole + 1
    await store.delete_unfinished(seconds=0)
    assert (await messages(space), await store.get("ab" * 32)) == (whole, b"content")


async def test_what_another_client_has_deleted_is_in_nobodys_way(space):
    store = bundle_store("nats", space.nats, space.names)
    bucket = await space.nats.jetstream().object_store(space.names.bundles)
    await store.put("ab" * 32, b"content")
    await bucket.delete("ab" * 32)
    for part in "xy":
        await space.nats.jetstream().publish(f"$O.{space.names.bundles}.C.{part}", b"a part")
    await store.delete_unfinished(seconds=0)
    assert await messages(space) == 1
    await store.delete("ab" * 32)
    assert (await messages(space), await store.digests()) == (0, [])


async def test_a_file_that_a_killed_writer_left_is_deleted_once_it_is_old(space, tmp_path):
    store = bundle_store(str(tmp_path), space.nats, space.names)
    await store.put("ab" * 32, b"content")
    part = tmp_path / f".{'cd' * 32}.0123.unfinished"
    part.write_bytes(b"a part")
    await store.delete_unfinished()
    assert part.exists()
    await store.delete_unfinished(seconds=0)
    assert (part.exists(), await store.get("ab" * 32)) == (False, b"content")


@pytest.fixture
def room_for_a_megabyte() -> Iterator[None]:
    """In each file; what is longer is cut off, as on a disk that is full."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


async def test_what_does_not_fit_on_the_disk_leaves_nothing_there(space, tmp_path, room_for_a_megabyte):
    store = bundle_store(str(tmp_path), space.nats, space.names)
    with pytest.raises(OSError):
        await store.put("ab" * 32, bytes(2_000_000))
    assert list(tmp_path.iterdir()) == []


async def test_a_file_is_on_the_disk_before_it_passes_for_a_bundle(space, tmp_path, monkeypatch):
    named: list[list[str]] = []
    monkeypatch.setattr("os.fsync", lambda _: named.append([file.name for file in tmp_path.glob("*.bundle")]))
    await bundle_store(str(tmp_path), space.nats, space.names).put("ab" * 32, b"content")
    assert named == [[]]
