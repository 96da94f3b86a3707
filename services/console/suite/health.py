"""How each service is: its gRPC health and what it tells about its work."""

import asyncio
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from freshet.trainer.v1.trainer_pb2 import ListModelsResponse, ListTrainingRunsResponse
from services.console.channels import open_channel
from services.console.failures import CommandFailed
from services.console.feature_instances import FeatureInstance, feature_instances, folded_position
from services.console.models.training import state_word
from shared.client import SERVICES, FreshetClient, FreshetError

TIMEOUT_SECONDS = 2.0
SERVING, NOT_SERVING, DOWN = "serving", "not serving", "down"
M = TypeVar("M")


@dataclass(slots=True)
class ServiceHealth:
    """One service, or one instance of it: "serving", "not serving" or "down", and facts by name."""

    service: str
    address: str
    state: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def serving(self) -> bool:
        """Whether it serves."""
        return self.state == SERVING

    @property
    def reason(self) -> str:
        """Why it does not serve, as far as it says."""
        return f"{self.state}: {self.facts['error']}" if "error" in self.facts else self.state

    def document(self) -> dict[str, Any]:
        """The state as JSON shows it."""
        return asdict(self)


async def health_of_all(client: FreshetClient) -> list[ServiceHealth]:
    """How all services are, asked side by side; the feature service by its instances. Raises CommandFailed when the
    environment does not tell these."""
    instances = feature_instances()
    asked = [
        [health_of_instance(each) for each in instances]
        if service == "feature"
        else [health_of(client, service)]
        for service in SERVICES
    ]
    return list(await asyncio.gather(*chain.from_iterable(asked)))


async def health_of(client: FreshetClient, service: str) -> ServiceHealth:
    """How one service is; of one that does not serve, what it says about that."""
    address = client.addresses.of(service)
    health = ServiceHealth(service, address, await _state(address))
    if health.state in (SERVING, NOT_SERVING):
        health.facts = await FACTS[service](client.with_options(timeout_seconds=TIMEOUT_SECONDS))
    return health


async def health_of_instance(instance: FeatureInstance) -> ServiceHealth:
    """How one feature instance is, and how far."""
    health = ServiceHealth(instance.name, instance.address, await _state(instance.address))
    health.facts["partitions"] = instance.partitions
    if health.state in (SERVING, NOT_SERVING):
        try:
            health.facts["folded_to_position"] = await folded_position(instance, TIMEOUT_SECONDS)
        except CommandFailed as failure:
            health.facts["error"] = failure.message
    return health


async def _state(address: str) -> str:
    # A channel of its own: the client's would retry, and a service that is down should be told at once.
    async with open_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service="")
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"does not answer within {TIMEOUT_SECONDS:g} s"
            return DOWN if error.code() is grpc.StatusCode.UNAVAILABLE else error.code().name.lower()
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return SERVING if serving else NOT_SERVING


async def _ask(question: Awaitable[M]) -> M | FreshetError:
    try:
        return await question
    except FreshetError as error:
        return error


async def _ingestion_facts(client: FreshetClient) -> dict[str, Any]:
    """The newest message that was refused at the NATS door: to tell it, the log must answer."""
    answer = await _ask(client.list_dead_letters(1))
    if isinstance(answer, FreshetError):
        return {"error": answer.explain()}
    if not answer.dead_letters:
        return {"newest_dead_letter": None}
    letter = answer.dead_letters[0]
    moment = letter.refuse_time.ToDatetime().isoformat(" ", "seconds")
    reasons = dict.fromkeys(each.reason for each in letter.violations)
    return {"newest_dead_letter": f"{letter.dead_letter_id}, {moment}, {', '.join(reasons)}"}


async def _ranking_facts(client: FreshetClient) -> dict[str, Any]:
    answer = await _ask(client.get_model_status())
    if isinstance(answer, FreshetError):
        return {"error": answer.explain()}
    facts: dict[str, Any] = {
        "catalogue_items": answer.catalogue_item_count,
        "recommendable_items": answer.recommendable_item_count,
        "swaps": answer.swap_count,
        "model_version": None,
    }
    if answer.HasField("serving"):
        serving = answer.serving
        facts["model_version"] = serving.model_version
        facts["model_age_seconds"] = round(age_seconds(serving.create_time.ToDatetime(UTC)), 1)
        facts["trained_to_position"] = serving.trained_to_position
    if answer.refused:
        facts["last_refused"] = f"{answer.refused[0].model_version}: {answer.refused[0].reason}"
    return facts


async def _trainer_facts(client: FreshetClient) -> dict[str, Any]:
    runs, models = await asyncio.gather(_ask(client.list_training_runs(1)), _ask(client.list_models(1)))
    if isinstance(runs, FreshetError):
        return {"error": runs.explain()}
    if isinstance(models, FreshetError):
        return {**_run_facts(runs), "error": models.explain()}
    return {**_run_facts(runs), **_drift_facts(models)}


def _run_facts(answer: ListTrainingRunsResponse) -> dict[str, Any]:
    if not answer.runs:
        return {"runs": 0}
    newest = answer.runs[0]
    return {
        "last_run": newest.run_id,
        "last_run_state": state_word(newest),
        "last_run_events": newest.event_count,
    }


def _drift_facts(answer: ListModelsResponse) -> dict[str, Any]:
    """How far traffic has moved away from the champion; nothing while that is not known."""
    if not answer.HasField("drift"):
        return {}
    drift = answer.drift
    return {
        "items_drift_psi": round(drift.items_psi, 3),
        "event_types_drift_psi": round(drift.event_types_psi, 3),
        "new_item_share": round(drift.new_item_share, 3),
    }


FACTS = {"ingestion": _ingestion_facts, "ranking": _ranking_facts, "trainer": _trainer_facts}


def age_seconds(moment: datetime) -> float:
    """How long ago a moment was."""
    return (datetime.now(UTC) - moment).total_seconds()
