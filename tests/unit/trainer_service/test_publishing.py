"""In which order a model is published, what a cut leaves, and what is not promoted whatever the gate says."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet.log.v1.log_pb2 import ModelEvent
from freshet.trainer.v1.trainer_pb2 import TRAINING_TRIGGER_REQUEST
from services.trainer.patience import StillAwayError
from services.trainer.policies.gate import Decision, Evidence
from services.trainer.processes.reports import Finished
from services.trainer.runs.progress import new_run
from services.trainer.runs.publishing import Publisher
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.promotions import ChampionChangedError
from shared.adapters.postgres.registry import RegisteredModel
from shared.domain.models.promotions import Cause, Promotion
from tests.conditions import eventually

DIGEST = "ab" * 32
DAY = datetime(2025, 1, 1, tzinfo=UTC)
PROMOTED = Decision(True, "better")


@dataclass
class Recorder:
    """Store, registry and connection in one: notes what is done, fails at one step."""

    done: list[str] = field(default_factory=list)
    fails: str = ""
    serving: RegisteredModel | None = None
    decisions: list[Promotion] = field(default_factory=list)
    told: list[ModelEvent] = field(default_factory=list)

    @property
    def promotions(self) -> "Recorder":
        return self

    async def history(self) -> list[Promotion]:
        return self.decisions

    def _do(self, step: str) -> None:
        if step == self.fails:
            raise OSError(f"{step} failed")
        self.done.append(step)

    async def put(self, digest: str, packed: bytes) -> None:
        self._do("stored")

    async def register(self, model: RegisteredModel, instead_of: str | None = None) -> None:
        champion = self.serving.model_version if self.serving else ""
        if model.champion and instead_of is not None and champion != instead_of:
            raise ChampionChangedError(champion)
        self._do("registered")
        self.serving = model

    async def champion(self) -> RegisteredModel | None:
        return self.serving

    def jetstream(self) -> "Recorder":
        return self

    async def publish(self, subject: str, payload: bytes) -> None:
        self._do(subject)
        self.told.append(ModelEvent.FromString(payload))


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    bundle = tmp_path / "candidate.bundle"
    bundle.write_bytes(b"a model")
    return Finished(DIGEST, str(bundle), 3, {"ndcg@10": 0.5}, Evidence(40, 0.5, 0.25))


async def publish(recorder: Recorder, finished: Finished, decision: Decision = PROMOTED) -> Decision:
    publisher = Publisher(recorder, Names(), recorder, recorder)
    return await publisher.publish(new_run(TRAINING_TRIGGER_REQUEST), finished, decision, wait_seconds=0.0)


async def test_a_bundle_is_stored_before_it_is_registered_and_told_of_last(finished):
    recorder = Recorder()
    await publish(recorder, finished)
    assert recorder.done == ["stored", "registered", "models.v1.promoted"]


async def test_a_model_that_was_not_promoted_is_published_too(finished):
    recorder = Recorder()
    await publish(recorder, finished, Decision(False, "worse"))
    assert recorder.done == ["stored", "registered", "models.v1.kept"]
    assert not recorder.serving.champion


@pytest.mark.parametrize(("fails", "done"), [("stored", []), ("registered", ["stored"])])
async def test_a_cut_leaves_no_champion(finished, fails, done):
    recorder = Recorder(fails=fails)
    with pytest.raises(StillAwayError, match=fails):
        await publish(recorder, finished)
    assert (recorder.done, recorder.serving) == (done, None)


async def test_a_champion_whose_registration_was_not_answered_is_told_of_all_the_same(finished):
    class Unanswered(Recorder):
        async def register(self, model: RegisteredModel, instead_of: str | None = None) -> None:
            await super().register(model, instead_of)
            raise ConnectionError("the connection broke as the transaction ended")

    recorder = Unanswered()
    with pytest.raises(StillAwayError):
        await publish(recorder, finished)
    await eventually(lambda: recorder.done[-1] == "models.v1.promoted", timeout=2.0)


async def test_a_champion_that_comes_out_again_stays_champion(finished):
    recorder = Recorder()
    await publish(recorder, finished)
    decision = await publish(recorder, finished, Decision(False, "not clearly better"))
    assert recorder.serving.champion
    assert decision == (False, f"training gave champion {DIGEST[:16]} again, bit by bit")


async def test_a_champion_is_told_of_once_more_at_a_start(finished):
    recorder = Recorder()
    await publish(recorder, finished)
    await Publisher(recorder, Names(), recorder, recorder).tell()
    assert recorder.done[-2:] == ["models.v1.promoted", "models.v1.promoted"]


async def test_without_a_champion_nobody_is_told():
    recorder = Recorder()
    await Publisher(recorder, Names(), recorder, recorder).tell()
    assert recorder.done == []


async def test_the_promotion_that_made_the_champion_is_what_is_told_at_a_start(finished):
    recorder = Recorder()
    await publish(recorder, finished)
    recorder.decisions.append(Promotion(DIGEST[:16], Cause.ROLLBACK, "the other one is worse", "other", DAY))
    await Publisher(recorder, Names(), recorder, recorder).tell()
    assert recorder.told[-1].reason == "the other one is worse"
    assert recorder.told[-1].decide_time.ToDatetime(tzinfo=UTC) == DAY


async def test_a_model_judged_against_a_champion_that_is_none_any_more_is_not_promoted(finished):
    recorder = Recorder()
    await publish(recorder, finished)
    other = finished._replace(digest="cd" * 32, champion_version="rolled back meanwhile")
    decision = await publish(recorder, other)
    assert not decision.promoted
    expected = f"judged against rolled back meanwhile, but the champion is {DIGEST[:16]} by now: better"
    assert expected in decision.reason
    assert (recorder.done[-1], recorder.serving.promoted) == ("models.v1.kept", False)


async def test_a_model_that_was_rolled_back_and_comes_out_again_is_not_promoted(finished):
    recorder = Recorder(decisions=[Promotion("older", Cause.ROLLBACK, "worse", DIGEST[:16], DAY)])
    decision = await publish(recorder, finished)
    assert decision == (False, f"training gave {DIGEST[:16]} again, bit by bit, which was rolled back")
    assert not recorder.serving.champion


async def test_the_champion_that_a_model_was_compared_with_is_registered(finished):
    recorder = Recorder()
    await publish(recorder, finished._replace(evidence=Evidence(40, champion_version="older")))
    assert recorder.serving.compared_with == "older"
