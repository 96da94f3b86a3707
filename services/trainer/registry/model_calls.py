"""What calls about registered models answer."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.rpc import error_details_pb2

from freshet.trainer.v1 import trainer_pb2 as api
from services.trainer.registry.model_evaluations import UnknownModelError
from services.trainer.registry.promoting import NotPromotableError, Promoting, RollbackWish
from services.trainer.registry.stored_models import NotStoredError, intact_bundle
from services.trainer.request import check, request_id_violations
from services.trainer.runs.drift_watch import DriftWatch, FoundDrift
from shared.adapters.codecs.bundle import CARD, CURVES
from shared.adapters.jetstream.bundle_store import BundleStore
from shared.adapters.postgres.model_erasures import ModelErasures
from shared.adapters.postgres.registry import RegisteredModel, Registry
from shared.domain.models.promotions import Cause, Promotion, rolled_back
from shared.domain.violation import Violation
from shared.runtime.errors import Refusal

_LONGEST_REASON = 1000
_MOST_BYTES, _FRAME_BYTES = 3 << 20, 8
"""Of models in one answer, of which gRPC's clients take 4 MiB unless they are told otherwise: the receipts of erasures
that each names may be many. And what each takes beside itself."""
_TOLD_TOGETHER = 20
_CAUSES = {
    Cause.TRAINING: api.PROMOTION_CAUSE_TRAINING,
    Cause.REQUEST: api.PROMOTION_CAUSE_REQUEST,
    Cause.ROLLBACK: api.PROMOTION_CAUSE_ROLLBACK,
    Cause.AUTOMATIC_ROLLBACK: api.PROMOTION_CAUSE_AUTOMATIC_ROLLBACK,
}


class ModelCalls:
    """Translates between messages and the registry; what becomes champion is decided in `Promoting`."""

    def __init__(
        self,
        registry: Registry,
        store: BundleStore,
        erasures: ModelErasures,
        promoting: Promoting,
        watch: DriftWatch,
    ) -> None:
        self._registry, self._store = registry, store
        self._erasures, self._promoting = erasures, promoting
        self._watch = watch

    async def list_models(self, limit: int) -> api.ListModelsResponse:
        """The newest models, the newest first, as many as a message holds; and how far traffic has moved away from the
        champion."""
        models, found = await self._fitting(await self._registry.list_models(limit)), self._watch.found
        return api.ListModelsResponse(models=models, drift=_drift(found) if found else None)

    async def _fitting(self, models: Sequence[RegisteredModel]) -> list[api.Model]:
        """The first of them that fit into one message, but always one. A few at a time: the marks of all that do not
        fit may be millions."""
        fitting, size = list[api.Model](), 0
        for start in range(0, len(models), _TOLD_TOGETHER):
            for model in await self._told(models[start : start + _TOLD_TOGETHER]):
                size += model.ByteSize() + _FRAME_BYTES
                if fitting and size > _MOST_BYTES:
                    return fitting
                fitting.append(model)
        return fitting

    async def get(self, request: api.GetModelRequest) -> api.GetModelResponse:
        """One model. Raises UnknownModelError."""
        model = await self._model(request.model_version)
        (told,) = await self._told([model])
        response = api.GetModelResponse(model=told)
        if request.include_card:
            documents = await self._documents(model)
            response.model_card = documents.get(CARD, b"").decode()
            response.curves_png = documents.get(CURVES, b"")
        return response

    async def promote(self, request: api.PromoteModelRequest) -> api.PromoteModelResponse:
        """A model that is champion now. Raises UnknownModelError, NotPromotableError, and a refusal for bad fields."""
        violations = _reason_violations(request.reason)
        if not request.model_version:
            violations.insert(0, Violation("model_version", "is required", "REQUIRED"))
        check(violations)
        changed = await self._promoting.promote(request.model_version, request.reason)
        (told,) = await self._told([await self._model(request.model_version)])
        return api.PromoteModelResponse(model=told, already_champion=not changed)

    async def roll_back(self, request: api.RollbackModelRequest) -> api.RollbackModelResponse:
        """The champion before, champion again. Raises NotPromotableError, and a refusal for bad fields."""
        check([*_reason_violations(request.reason), *request_id_violations(request.request_id)])
        wish = RollbackWish(request.reason, request.model_version, request.request_id)
        promotion = await self._promoting.roll_back(wish)
        (told,) = await self._told([await self._model(promotion.model_version)])
        return api.RollbackModelResponse(model=told, rolled_back_model_version=promotion.displaced)

    async def _model(self, model_version: str) -> RegisteredModel:
        if model_version:
            if model := await self._registry.model(model_version):
                return model
            raise UnknownModelError(f"there is no model {model_version[:64]!r}")
        if champion := await self._registry.champion():
            return champion
        raise UnknownModelError("there is no champion yet")

    async def _documents(self, model: RegisteredModel) -> dict[str, bytes]:
        try:
            return dict((await intact_bundle(self._store, model)).documents)
        except NotStoredError:
            return {}

    async def _told(self, models: Sequence[RegisteredModel]) -> list[api.Model]:
        marks = await self._erasures.receipts_of([model.model_version for model in models])
        history = await self._registry.promotions.history()
        return [_message(model, marks.get(model.model_version, ()), history) for model in models]


def not_promoted(error: NotPromotableError) -> Refusal:
    """Why no model became champion."""
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=error.kind, subject="model_version", description=str(error)
    )
    failure = error_details_pb2.PreconditionFailure(violations=[violation])
    return Refusal(grpc.StatusCode.FAILED_PRECONDITION, error.kind, str(error), (failure,))


def _message(
    model: RegisteredModel, erasure_receipt_ids: Sequence[str], history: Sequence[Promotion]
) -> api.Model:
    own = [each for each in reversed(history) if each.model_version == model.model_version]
    message = api.Model(
        model_version=model.model_version,
        run_id=model.run_id,
        champion=model.champion,
        decision=api.GateDecision(promoted=model.promoted, reason=model.reason),
        trained_to_position=model.trained_to_position,
        item_count=model.item_count,
        metrics=model.metrics,
        erasure_receipt_ids=erasure_receipt_ids,
        compared_with_version=model.compared_with,
        promotions=[_promotion(each) for each in own],
        rolled_back=model.model_version in rolled_back(history),
    )
    message.create_time.FromDatetime(model.create_time)
    return message


def _drift(found: FoundDrift) -> api.Drift:
    return api.Drift(
        model_version=found.model_version,
        items_psi=found.drift.items,
        event_types_psi=found.drift.event_types,
        history_lengths_psi=found.drift.history_lengths,
        new_item_share=found.drift.new_share,
    )


def _promotion(promotion: Promotion) -> api.Promotion:
    message = api.Promotion(
        cause=_CAUSES[promotion.cause],
        reason=promotion.reason,
        displaced_model_version=promotion.displaced,
    )
    message.promote_time.FromDatetime(promotion.promote_time)
    return message


def _reason_violations(reason: str) -> list[Violation]:
    if not reason.strip():
        return [Violation("reason", "is required: say why, for the record", "REQUIRED")]
    if len(reason) > _LONGEST_REASON:
        text = f"has {len(reason):,} characters; at most {_LONGEST_REASON:,}"
        return [Violation("reason", text, "OUT_OF_RANGE")]
    return []
