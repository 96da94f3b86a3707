"""Takes users into the log. A user who is there already in just this form is not written again."""

from __future__ import annotations

from collections.abc import Sequence

from freshet.catalog.v1.user_pb2 import User
from services.ingestion.validation import user_violations
from services.ingestion.writing.versions import (
    Draft,
    Refused,
    VersionOutcome,
    VersionWriter,
    collision,
    unless_same,
)
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.streams import Names


class UserWriter:
    """Writes users."""

    def __init__(self, versions: VersionWriter, names: Names) -> None:
        self._versions = versions
        self._names = names

    async def write(self, users: Sequence[User]) -> list[VersionOutcome]:
        """Check and write users, in order; one outcome each. Raises LogOverloadedError: then none was written."""
        return await self._versions.write([self._draft(user) for user in users])

    def _draft(self, user: User) -> Draft | Refused:
        user.DiscardUnknownFields()
        if violations := user_violations(user):
            return Refused(violations)
        payload = user.SerializeToString(deterministic=True)
        judge = unless_same(
            payload, lambda held: collision("user_id", user.user_id, User.FromString(held).user_id)
        )
        return Draft(self._names.user_subject(user_key(user.user_id)), payload, judge)
