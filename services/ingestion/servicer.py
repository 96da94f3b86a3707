"""The gRPC door: one servicer, its calls by kind."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from services.ingestion.doors.catalogue_calls import CatalogueCalls
from services.ingestion.doors.dead_letter_calls import DeadLetterCalls
from services.ingestion.doors.erasure_calls import ErasureCalls
from services.ingestion.doors.event_calls import EventCalls
from services.ingestion.erasing.erasure_requests import ErasureRequests
from services.ingestion.intake import Intake
from services.ingestion.letters.dead_letters import DeadLetters
from services.ingestion.letters.redriving import Redriving
from services.ingestion.writing.item_writer import ItemWriter
from services.ingestion.writing.user_writer import UserWriter


class CatalogueWriters(NamedTuple):
    """Who writes items and users."""

    items: ItemWriter
    users: UserWriter


class IngestionServicer(EventCalls, CatalogueCalls, DeadLetterCalls, ErasureCalls):
    """All calls; each base class holds those of one kind."""

    def __init__(
        self,
        intake: Intake,
        writers: CatalogueWriters,
        letters: DeadLetters,
        erasure_requests: ErasureRequests,
    ) -> None:
        self._intake = intake
        self._draining = asyncio.Event()
        self._items, self._users = writers
        self._letters = letters
        self._redriving = Redriving(intake, letters)
        self._erasure_requests = erasure_requests

    def end_streams(self) -> None:
        """Have open streams end once what was read has its outcome; their senders go on elsewhere."""
        self._draining.set()
