"""What the feature service refuses to start with, by the name of the variable."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.feature.settings import FeatureSettings

NEEDED = {"nats_url": "nats://127.0.0.1:4222", "database_url": "postgresql+asyncpg://u@127.0.0.1/d"}


@pytest.mark.parametrize("owned", ["16", "8-16", "20-30"])
def test_partitions_that_the_log_does_not_have_cannot_be_owned(owned):
    with pytest.raises(ValidationError, match=f"FRESHET_OWNED_PARTITIONS: {owned} is not within 0-15"):
        FeatureSettings(**NEEDED, partitions=16, owned_partitions=owned)


@pytest.mark.parametrize(("owned", "partitions"), [("all", 16), ("15", 1), ("8-15", 8), ("0-0", 1)])
def test_partitions_of_the_log_can_be_owned(owned, partitions):
    settings = FeatureSettings(**NEEDED, partitions=16, owned_partitions=owned)
    assert len(settings.partition_list()) == partitions
