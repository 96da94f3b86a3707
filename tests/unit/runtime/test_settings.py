"""Settings that every service reads."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.runtime.settings import ServiceSettings


def test_several_nats_servers_are_separated_by_commas():
    settings = ServiceSettings(nats_url="nats://a:4222, tls://user:secret@b:4223,nats://c")
    assert settings.nats_url == "nats://a:4222,tls://user:secret@b:4223,nats://c"


@pytest.mark.parametrize("bad", ["http://b:4222", "nats://", "nats://b:port", "nats://b:70000", ""])
def test_of_several_nats_servers_the_bad_one_is_named(bad):
    with pytest.raises(ValidationError, match=f"'{bad}' must be"):
        ServiceSettings(nats_url=f"nats://a:4222,{bad}")


@pytest.mark.parametrize("number", [0, 6])
def test_a_stream_has_one_to_five_replicas(number):
    with pytest.raises(ValidationError):
        ServiceSettings(replicas=number)
