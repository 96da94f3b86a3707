"""The client for threads and scripts."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc
from google.protobuf.message import Message

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import StreamUserEventsResponse
from shared.client import calls
from shared.client.addresses import Addresses
from shared.client.calls import Call, StreamCall
from shared.client.connection import CHANNEL_OPTIONS, CallOptions, Connections, open_stream, prepare
from shared.client.errors import Origin
from shared.client.resuming import Unanswered, stream_call
from shared.client.sync_stream import SyncEventStream

P = ParamSpec("P")
R = TypeVar("R", bound=Message)


def _answers(describe: Callable[P, Call[R]]) -> Callable[Concatenate["SyncFreshetClient", P], R]:
    @functools.wraps(describe)
    def method(self: "SyncFreshetClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._send(describe(*args, **kwargs))

    return method


def _streams(
    describe: Callable[P, StreamCall[R]],
) -> Callable[Concatenate["SyncFreshetClient", P], Iterator[R]]:
    @functools.wraps(describe)
    def method(self: "SyncFreshetClient", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self._stream(describe(*args, **kwargs))

    return method


class SyncFreshetClient:
    """Calls Freshet's services and blocks for the answer; any thread may use it. Close it, or use `with`.

    Addresses not given come from the environment. `credentials` None means no TLS.
    """

    def __init__(
        self, addresses: Addresses | None = None, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self.addresses = addresses or Addresses()
        self._credentials = credentials
        self._options = CallOptions()
        self._connections = Connections(self._connect, lambda: None)

    write_user_event = _answers(calls.write_user_event)
    batch_write_user_events = _answers(calls.batch_write_user_events)
    upsert_items = _answers(calls.upsert_items)
    erase_user = _answers(calls.erase_user)
    delete_items = _answers(calls.delete_items)
    upsert_users = _answers(calls.upsert_users)
    list_dead_letters = _answers(calls.list_dead_letters)
    redrive_dead_letters = _answers(calls.redrive_dead_letters)
    get_user_features = _answers(calls.get_user_features)
    watch_user_features = _streams(calls.watch_user_features)
    batch_get_item_features = _answers(calls.batch_get_item_features)
    recommend = _answers(calls.recommend)
    rank_items = _answers(calls.rank_items)
    get_model_status = _answers(calls.get_model_status)
    start_training = _answers(calls.start_training)
    get_training_run = _answers(calls.get_training_run)
    list_training_runs = _answers(calls.list_training_runs)
    watch_training_run = _streams(calls.watch_training_run)
    list_models = _answers(calls.list_models)
    get_model = _answers(calls.get_model)
    promote_model = _answers(calls.promote_model)
    rollback_model = _answers(calls.rollback_model)
    evaluate_model = _answers(calls.evaluate_model)

    def stream_user_events(self, user_events: Iterable[UserEvent]) -> Iterator[StreamUserEventsResponse]:
        """Writes events as they come; hands out one outcome for each, in the same order.

        A broken stream is taken up again: events without an outcome are sent once more with their ids, so that each
        takes effect once. After a minute of failing without any outcome the error is raised, and before a deadline, if
        `with_options` gave one: it is of the whole stream. Leaving the iteration early cancels the stream; events
        without an outcome may then have been written or not. What `user_events` raises comes after all outcomes before
        it; so does the TypeError for what is no UserEvent in it.
        """
        call = stream_call()
        origin = self._options.origin_of(call, self.addresses.of(call.service))
        decode = functools.partial(self._connections.failure, origin=origin)
        unanswered = Unanswered(timeout_seconds=self._options.timeout_of(call))
        stream = SyncEventStream(functools.partial(self._open_stream, call, origin), decode, unanswered)
        yield from stream.outcomes(user_events)

    def with_options(self, timeout_seconds: float | None = None, request_id: str | None = None) -> Self:
        """The same client with another deadline or a given request id; it shares the connections.

        Raises ValueError for a timeout that is not above 0 and at most a year, and a request id that is not printable
        ASCII.
        """
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__, _options=CallOptions(timeout_seconds, request_id))
        return view

    def channel(self, service: str) -> grpc.Channel:
        """The connection to a service, for calls that the SDK does not have, such as health. Raises ClientClosed."""
        return self._connections.to(Origin(service, self.addresses.of(service), "channel", ""))

    def close(self) -> None:
        """Closes the connections; calls in flight raise ClientClosed, and so do all from now on."""
        for channel in self._connections.close():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, target: str) -> grpc.Channel:
        if self._credentials is None:
            return grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        return grpc.secure_channel(target, self._credentials, options=CHANNEL_OPTIONS)

    def _send(self, call: Call[R]) -> R:
        invoke, origin = self._prepare(call)
        with self._connections.typed(origin):
            response: R = invoke()
        return response

    def _stream(self, call: StreamCall[R]) -> Iterator[R]:
        invoke, origin = self._prepare(call)
        with self._connections.typed(origin):
            responses = invoke()
            try:
                yield from responses
            finally:
                responses.cancel()  # when the iteration is left early; else it has ended

    def _open_stream(self, call: Call[Any], origin: Origin, requests: Any, timeout: float | None) -> Any:
        with self._connections.typed(origin):
            return open_stream(self._connections.to(origin), call, origin)(requests, timeout)

    def _prepare(self, call: Call[Any]) -> tuple[Callable[[], Any], Origin]:
        origin = self._options.origin_of(call, self.addresses.of(call.service))
        return prepare(self._connections.to(origin), call, origin, self._options), origin
