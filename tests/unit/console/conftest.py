"""A loopback server that stands in for all services, small data sets, and running commands against them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from freshet.feature.v1 import feature_pb2, feature_pb2_grpc, state_pb2, state_pb2_grpc
from freshet.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from freshet.ranking.v1 import ranking_pb2, ranking_pb2_grpc
from freshet.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from services.console.cli import cli
from shared.client import SERVICES
from shared.client.addresses import address_variable
from shared.domain.consistency import encode_token

ITEMS = "item\ttitle\tgenres\n1\tToy Story\tAnimation|Comedy\n2\tHeat\tAction\n3\tAlien\t\n"
INTERACTIONS = (
    "user\titem\ttimestamp\trating\n"
    "u\t1\t874724710\t4.0\n"
    "v\t2\t874724711\t3.0\n"
    "u\t2\t874724712\t5.0\n"
    "v\t3\t874724713\t1.0\n"
    "u\t3\t874724714\t2.0\n"
)


@dataclass
class World:
    """What the stand-in has been told, and how it is to behave."""

    events: list[Any] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    event_ids: set[str] = field(default_factory=set)
    unavailable_batches: int = 0
    erasures_under_way: int = 0
    refused_items: set[str] = field(default_factory=set)
    results: list[str] = field(default_factory=list)
    run: trainer_pb2.TrainingRun = field(default_factory=trainer_pb2.TrainingRun)
    busy: bool = False
    recommend_requests: list[Any] = field(default_factory=list)
    letters: list[Any] = field(default_factory=list)
    redrives: list[Any] = field(default_factory=list)
    owned_partitions: set[int] = field(default_factory=lambda: set(range(16)))
    models: list[trainer_pb2.Model] = field(default_factory=list)
    drift: trainer_pb2.Drift | None = None
    card: str = ""
    decided: list[Any] = field(default_factory=list)
    refusal: tuple[grpc.StatusCode, str] | None = None
    evaluation: trainer_pb2.EvaluateModelResponse = field(default_factory=trainer_pb2.EvaluateModelResponse)
    health_service: health.HealthServicer = field(default_factory=health.HealthServicer)


class StandIn(
    ingestion_pb2_grpc.IngestionServiceServicer,
    feature_pb2_grpc.FeatureServiceServicer,
    state_pb2_grpc.StateServiceServicer,
    ranking_pb2_grpc.RankingServiceServicer,
    trainer_pb2_grpc.TrainerServiceServicer,
):
    """All four services, as simple as the commands need them."""

    def __init__(self, world: World) -> None:
        self.world = world

    def BatchWriteUserEvents(self, request, context):
        if self.world.unavailable_batches > 0:
            self.world.unavailable_batches -= 1
            status = ingestion_pb2.WRITE_STATUS_UNAVAILABLE
            outcomes = [ingestion_pb2.WriteOutcome(id=e.event_id, status=status) for e in request.user_events]
            return ingestion_pb2.BatchWriteUserEventsResponse(outcomes=outcomes)
        outcomes = [self._outcome(event) for event in request.user_events]
        token = encode_token({0: len(self.world.events)})
        return ingestion_pb2.BatchWriteUserEventsResponse(outcomes=outcomes, consistency_token=token)

    def _outcome(self, event):
        status = ingestion_pb2.WRITE_STATUS_ACCEPTED
        if event.event_id in self.world.event_ids:
            status = ingestion_pb2.WRITE_STATUS_DUPLICATE
        else:
            self.world.events.append(event)
        self.world.event_ids.add(event.event_id)
        return ingestion_pb2.WriteOutcome(id=event.event_id, status=status)

    def UpsertItems(self, request, context):
        self.world.items += request.items
        violation = ingestion_pb2.Violation(field="title", description="is too long", reason="OUT_OF_RANGE")
        accepted, rejected = ingestion_pb2.WRITE_STATUS_ACCEPTED, ingestion_pb2.WRITE_STATUS_REJECTED
        outcomes = [
            ingestion_pb2.WriteOutcome(id=i.item_id, status=rejected, violations=[violation])
            if i.item_id in self.world.refused_items
            else ingestion_pb2.WriteOutcome(id=i.item_id, status=accepted)
            for i in request.items
        ]
        return ingestion_pb2.UpsertItemsResponse(outcomes=outcomes)

    def EraseUser(self, request, context):
        receipt = ingestion_pb2.ErasureReceipt(receipt_id="r1", user_key=10, position=12, deleted_events=3)
        receipt.model_versions.append("abc")
        if self.world.erasures_under_way > 0:
            self.world.erasures_under_way -= 1
        else:
            receipt.complete_time.GetCurrentTime()
        return ingestion_pb2.EraseUserResponse(receipt=receipt)

    def DeleteItems(self, request, context):
        known = {item.item_id for item in self.world.items}
        accepted, duplicate = ingestion_pb2.WRITE_STATUS_ACCEPTED, ingestion_pb2.WRITE_STATUS_DUPLICATE
        outcomes = [
            ingestion_pb2.WriteOutcome(id=each, status=accepted if each in known else duplicate)
            for each in request.item_ids
        ]
        return ingestion_pb2.DeleteItemsResponse(outcomes=outcomes)

    def ListDeadLetters(self, request, context):
        start = int(request.page_token or 0)
        chosen = [
            letter for letter in self.world.letters if request.reason in ("", letter.violations[0].reason)
        ]
        end = start + (request.page_size or 50)
        token = str(end) if end < len(chosen) else ""
        return ingestion_pb2.ListDeadLettersResponse(dead_letters=chosen[start:end], next_page_token=token)

    def RedriveDeadLetters(self, request, context):
        self.world.redrives += request.redrives
        known = {letter.dead_letter_id for letter in self.world.letters}
        missing = ingestion_pb2.Violation(field="dead_letter_id", description="is none", reason="NOT_FOUND")
        accepted, rejected = ingestion_pb2.WRITE_STATUS_ACCEPTED, ingestion_pb2.WRITE_STATUS_REJECTED
        outcomes = [
            ingestion_pb2.WriteOutcome(id=f"redrive-{each.dead_letter_id}", status=accepted)
            if each.dead_letter_id in known
            else ingestion_pb2.WriteOutcome(status=rejected, violations=[missing])
            for each in request.redrives
        ]
        return ingestion_pb2.RedriveDeadLettersResponse(outcomes=outcomes)

    def BatchGetItemFeatures(self, request, context):
        if any(not 1 <= len(item_id) <= 128 for item_id in request.item_ids):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "item_ids: out of range")
        return feature_pb2.BatchGetItemFeaturesResponse(consistency_token=request.min_consistency_token)

    def GetUserFeatures(self, request, context):
        return feature_pb2.GetUserFeaturesResponse(consistency_token=encode_token({0: 41}))

    def ReadUserStates(self, request, context):
        owned = self.world.owned_partitions
        if not owned.issuperset(request.user_keys):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"this one owns partitions {sorted(owned)}")
        return state_pb2.ReadUserStatesResponse(positions=[41] * len(request.user_keys))

    def Recommend(self, request, context):
        self.world.recommend_requests.append(request)
        results = [
            ranking_pb2.RecommendResult(item_id=item, score=1 / place, source="model", position=place)
            for place, item in enumerate(self.world.results, start=1)
        ]
        return ranking_pb2.RecommendResponse(
            results=results, degraded=[ranking_pb2.DEGRADED_REASON_NO_MODEL], attribution_token="a"
        )

    def RankItems(self, request, context):
        results = [
            ranking_pb2.RankedItem(item_id=item, score=1 / place, source="model", position=place)
            for place, item in enumerate(request.item_ids, start=1)
        ]
        results[0].probabilities.update({"click": 0.125, "purchase": 0.5})
        reasons = [] if len(results) > 1 else [ranking_pb2.DEGRADED_REASON_NO_PROBABILITIES]
        return ranking_pb2.RankItemsResponse(results=results, degraded=reasons)

    def GetModelStatus(self, request, context):
        serving = ranking_pb2.ServingModel(model_version=self.world.run.model_version)
        return ranking_pb2.GetModelStatusResponse(serving=serving, catalogue_item_count=3)

    def StartTraining(self, request, context):
        if self.world.busy:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "run r0 is going on")
        return trainer_pb2.StartTrainingResponse(run=trainer_pb2.TrainingRun(run_id=self.world.run.run_id))

    def WatchTrainingRun(self, request, context):
        training = trainer_pb2.TRAINING_STATE_TRAINING
        run = trainer_pb2.TrainingRun(run_id="r1", state=training, step=1, total_steps=2, loss=0.5)
        yield trainer_pb2.WatchTrainingRunResponse(run=run)
        yield trainer_pb2.WatchTrainingRunResponse(run=self.world.run)

    def ListTrainingRuns(self, request, context):
        self._refuse(context)
        return trainer_pb2.ListTrainingRunsResponse(runs=[self.world.run])

    def ListModels(self, request, context):
        models = self.world.models[: request.page_size]
        return trainer_pb2.ListModelsResponse(models=models, drift=self.world.drift)

    def GetModel(self, request, context):
        self._refuse(context)
        model = self.world.models[0]
        picture = b"picture" if self.world.card else b""
        return trainer_pb2.GetModelResponse(model=model, model_card=self.world.card, curves_png=picture)

    def PromoteModel(self, request, context):
        self._refuse(context)
        self.world.decided.append(request)
        model = self.world.models[0]
        return trainer_pb2.PromoteModelResponse(model=model, already_champion=model.champion)

    def RollbackModel(self, request, context):
        self._refuse(context)
        self.world.decided.append(request)
        return trainer_pb2.RollbackModelResponse(
            model=self.world.models[0], rolled_back_model_version="newer"
        )

    def EvaluateModel(self, request, context):
        self._refuse(context)
        self.world.decided.append(request)
        return self.world.evaluation

    def _refuse(self, context):
        if self.world.refusal is not None:
            context.abort(*self.world.refusal)


def succeeded(promoted: bool = True) -> trainer_pb2.TrainingRun:
    """A run that ended with a model."""
    return trainer_pb2.TrainingRun(
        run_id="r1",
        state=trainer_pb2.TRAINING_STATE_SUCCEEDED,
        model_version="abc",
        decision=trainer_pb2.GateDecision(promoted=promoted, reason="0.2 beats 0.1"),
        metrics={"ndcg@10": 0.2},
    )


@pytest.fixture
def world() -> World:
    """What the stand-in of this test knows."""
    return World(run=succeeded(), results=["3", "1"])


@pytest.fixture
def services(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The stand-in on a free port, with the environment that leads to it."""
    server = grpc.server(ThreadPoolExecutor(4))
    stand_in = StandIn(world)
    ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(stand_in, server)
    feature_pb2_grpc.add_FeatureServiceServicer_to_server(stand_in, server)
    state_pb2_grpc.add_StateServiceServicer_to_server(stand_in, server)
    ranking_pb2_grpc.add_RankingServiceServicer_to_server(stand_in, server)
    trainer_pb2_grpc.add_TrainerServiceServicer_to_server(stand_in, server)
    world.health_service.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(world.health_service, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    for service in SERVICES:
        monkeypatch.setenv(address_variable(service), target)
    server.start()
    yield world
    server.stop(None).wait()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An environment that leads nowhere."""
    for service in SERVICES:
        monkeypatch.setenv(address_variable(service), "127.0.0.1:1")
    return "127.0.0.1:1"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A small data set."""
    directory = tmp_path / "films"
    directory.mkdir()
    (directory / "items.tsv").write_text(ITEMS)
    (directory / "interactions.tsv").write_text(INTERACTIONS)
    return directory


def freshet(*arguments: object) -> Result:
    """Runs a command; `result.stdout` and `result.stderr` are apart."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def document(result: Result) -> Any:
    """The JSON document of a command that went well."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
