"""Where bundles travel: NATS Object Store, or a directory. Content-addressed: the digest is the name."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import time
import uuid
from pathlib import Path
from typing import Protocol

from nats.aio.client import Client
from nats.js.api import ObjectInfo
from nats.js.errors import NotFoundError, ObjectNotFoundError
from nats.js.object_store import ObjectStore

from shared.adapters.jetstream.log_range import read_stream
from shared.adapters.jetstream.streams import Names, StreamError
from shared.domain.retention import DAY_SECONDS

CHUNKS_AHEAD = 32
LEFT_SECONDS = DAY_SECONDS
"""What is so old and not finished, nobody writes any more, however long his process was frozen."""


class BundleNotFoundError(LookupError):
    """There is no bundle of that digest, or not all of it."""


class BundleStore(Protocol):
    """Keeps bundles as bytes by digest."""

    async def put(self, digest: str, packed: bytes) -> None:
        """Store a bundle. Storing the same one again changes nothing."""

    async def get(self, digest: str) -> bytes:
        """The bundle of that digest. Raises BundleNotFoundError."""

    async def digests(self) -> list[str]:
        """The digests of all bundles that are stored."""

    async def delete(self, digest: str) -> None:
        """Delete a bundle; nothing where there is none of that digest."""

    async def delete_unfinished(self, seconds: float = LEFT_SECONDS) -> None:
        """Delete parts of bundles that a writer who was killed, or cut off, left so many seconds ago or earlier."""


class NatsBundleStore:
    """Bundles in the namespace's BUNDLES bucket, which `ensure_streams` has made."""

    def __init__(self, connection: Client, names: Names) -> None:
        self._connection, self._bucket = connection, names.bundles
        self._stream = f"OBJ_{names.bundles}"

    async def put(self, digest: str, packed: bytes) -> None:
        await (await self._open()).put(digest, packed)

    async def get(self, digest: str) -> bytes:
        """Raises TimeoutError while NATS is away."""
        info = await self._info(digest)
        packed = await self._content(info.nuid or "")
        if len(packed) < (size := info.size or 0):
            if (
                await self._info(digest)
            ).nuid != info.nuid:  # it was stored again meanwhile, in another place
                return await self.get(digest)
            raise BundleNotFoundError(f"{digest}: {size - len(packed)} of its {size} bytes are gone")
        return packed

    async def _info(self, digest: str) -> ObjectInfo:
        try:
            return await (await self._open()).get_info(digest)
        except (ObjectNotFoundError, NotFoundError) as error:
            raise BundleNotFoundError(digest) from error

    async def digests(self) -> list[str]:
        """Decision: from the subjects that the stream has, one question; to list objects waits without an end."""
        return [base64.urlsafe_b64decode(name).decode() for name in await self._named("M")]

    async def _named(self, kind: str) -> list[str]:
        """Of what there is something: entries by name ("M"), or content by the id of its object ("C")."""
        prefix = f"$O.{self._bucket}.{kind}."
        jetstream = self._connection.jetstream()
        info = await jetstream.stream_info(self._stream, subjects_filter=f"{prefix}>")
        return [subject.removeprefix(prefix) for subject in info.state.subjects or ()]

    async def delete(self, digest: str) -> None:
        """The entry last: what was cut off in between is deleted when it is asked for again. Decision: nothing stays,
        where the object store itself leaves a mark for good, also of what another client has deleted."""
        try:
            info = await (await self._open()).get_info(digest, show_deleted=True)
        except (ObjectNotFoundError, NotFoundError):
            return
        entry = base64.urlsafe_b64encode(digest.encode()).decode()
        for subject in (f"$O.{self._bucket}.C.{info.nuid}", f"$O.{self._bucket}.M.{entry}"):
            await self._connection.jetstream().purge_stream(self._stream, subject=subject)

    async def delete_unfinished(self, seconds: float = LEFT_SECONDS) -> None:
        """What is content of no entry. Content first: what is finished in between is then found among the entries."""
        contents, digests = await self._named("C"), await self.digests()
        if len(contents) <= len(digests):
            return
        store, latest = await self._open(), time.time() - seconds
        # Also of what another client has deleted, which leaves its entry with a mark.
        finished = {(await store.get_info(digest, show_deleted=True)).nuid for digest in digests}
        for object_id in set(contents) - finished:
            await self._delete_content(object_id, latest)

    async def _delete_content(self, object_id: str, latest: float) -> None:
        """Unless some of it has come later than that."""
        jetstream, subject = self._connection.jetstream(), f"$O.{self._bucket}.C.{object_id}"
        last = await jetstream.get_last_msg(self._stream, subject)
        if last.time is not None and last.time.timestamp() <= latest:
            await jetstream.purge_stream(self._stream, subject=subject)

    async def _content(self, object_id: str) -> bytes:
        """Decision: chunks are read as the log is. By itself nats-py goes to a thread for each of them, twice the work.
        Its digest is not looked at: a bundle has its own."""
        chunks, received = f"$O.{self._bucket}.C.{object_id}", list[bytes]()
        try:
            async for batch in read_stream(self._connection, self._stream, chunks, max_pending=CHUNKS_AHEAD):
                received += (message.payload for message in batch)
        except StreamError as error:
            raise TimeoutError(str(error)) from error
        return b"".join(received)

    async def _open(self) -> ObjectStore:
        return await self._connection.jetstream().object_store(self._bucket)


class DirectoryBundleStore:
    """Bundles as files of a directory that all services share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, digest: str, packed: bytes) -> None:
        await asyncio.to_thread(self._write, digest, packed)

    def _write(self, digest: str, packed: bytes) -> None:
        """On the disk first, or a machine that crashes has a registered model without its content. Who finds the disk
        full tries again: the part goes at once, or the parts would fill it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        unfinished = self._directory / f".{digest}.{uuid.uuid4().hex}.unfinished"
        try:
            with unfinished.open("wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._directory / f"{digest}.bundle")
        finally:
            unfinished.unlink(missing_ok=True)

    async def get(self, digest: str) -> bytes:
        try:
            return await asyncio.to_thread((self._directory / f"{digest}.bundle").read_bytes)
        except FileNotFoundError as error:
            raise BundleNotFoundError(digest) from error

    async def digests(self) -> list[str]:
        return await asyncio.to_thread(lambda: [each.stem for each in self._directory.glob("*.bundle")])

    async def delete(self, digest: str) -> None:
        await asyncio.to_thread((self._directory / f"{digest}.bundle").unlink, missing_ok=True)

    async def delete_unfinished(self, seconds: float = LEFT_SECONDS) -> None:
        await asyncio.to_thread(self._delete_unfinished, time.time() - seconds)

    def _delete_unfinished(self, latest: float) -> None:
        for file in self._directory.glob(".*.unfinished"):
            with contextlib.suppress(FileNotFoundError):  # it has been finished meanwhile
                if file.stat().st_mtime <= latest:
                    file.unlink()


def bundle_store(url: str, connection: Client, names: Names) -> BundleStore:
    """The store that a setting names: "nats", or a directory."""
    return NatsBundleStore(connection, names) if url == "nats" else DirectoryBundleStore(Path(url))
