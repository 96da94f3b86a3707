"""Channels of the console's own, beside those of the SDK, which try again by themselves."""

import grpc

from shared.runtime.channels import NO_PROXY


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to one address; use it as a context."""
    return grpc.aio.insecure_channel(address, options=NO_PROXY)
