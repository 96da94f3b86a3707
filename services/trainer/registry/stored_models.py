"""Registered models as they lie in the bundle store."""

from __future__ import annotations

import asyncio

from services.trainer.patience import patiently
from services.trainer.runs.publishing import LOG_AWAY
from shared.adapters.codecs.bundle import Bundle, CorruptBundleError, unpack
from shared.adapters.jetstream.bundle_store import BundleNotFoundError, BundleStore
from shared.adapters.postgres.registry import RegisteredModel

_STORE_WAIT_SECONDS = 10.0


class NotStoredError(Exception):
    """There is no intact bundle of the model; the message is a sentence."""


async def packed_bundle(store: BundleStore, model: RegisteredModel) -> bytes:
    """The bundle as bytes. Raises NotStoredError, and StillAwayError when the store was away too long."""
    try:
        return await patiently(lambda: store.get(model.bundle_digest), LOG_AWAY, _STORE_WAIT_SECONDS)
    except BundleNotFoundError as error:
        raise NotStoredError(f"the bundle of {model.model_version} is no longer stored") from error


async def intact_bundle(store: BundleStore, model: RegisteredModel) -> Bundle:
    """The bundle, checked as those check it who serve. Raises NotStoredError, StillAwayError."""
    packed = await packed_bundle(store, model)
    try:
        bundle = await asyncio.to_thread(unpack, packed)
    except CorruptBundleError as error:
        raise NotStoredError(f"the bundle of {model.model_version} is damaged: {error}") from error
    if bundle.digest != model.bundle_digest:
        raise NotStoredError(f"the bundle of {model.model_version} is damaged: it is another one's")
    return bundle
