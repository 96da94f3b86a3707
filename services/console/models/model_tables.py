"""Models for people and for programs."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from freshet.trainer.v1.trainer_pb2 import (
    PROMOTION_CAUSE_AUTOMATIC_ROLLBACK,
    PROMOTION_CAUSE_ROLLBACK,
    GetModelResponse,
    ListModelsResponse,
    Model,
    Promotion,
    PromotionCause,
)
from services.console.output import Unbroken, titled
from shared.domain.metrics.drift import MATTERS

NDCG = "ndcg@10"
_ROLLBACKS = (PROMOTION_CAUSE_ROLLBACK, PROMOTION_CAUSE_AUTOMATIC_ROLLBACK)
_VERSIONS = ("model", "compared with")
_NO_CARD = "no card: the bundle is gone or older than cards"


def as_document(model: Model) -> dict[str, Any]:
    """A model as JSON shows it."""
    document: dict[str, Any] = MessageToDict(
        model, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for shown, promotion in zip(document["promotions"], model.promotions, strict=True):
        shown["cause"] = cause_word(promotion)
    return document


def cause_word(promotion: Promotion) -> str:
    """What made a model champion, in lower case, such as "automatic rollback"."""
    word = PromotionCause.Name(promotion.cause).removeprefix("PROMOTION_CAUSE_")
    return word.lower().replace("_", " ")


def as_table(models: Sequence[Model]) -> RenderableType:
    """A row for each model; why each was decided about so is `reasons`."""
    table = Table(
        title="Models, * the champion",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("model", "registered", "trained\nto", "NDCG@10", "compared with", "decided"):
        table.add_column(name, no_wrap=name in _VERSIONS)
    for model in models:
        table.add_row(*_cells(model), style="bold" if model.champion else "")
    return Unbroken(table)


def _cells(model: Model) -> list[str | Text]:
    return [
        Text(f"{model.model_version}{' *' if model.champion else ''}"),
        model.create_time.ToDatetime().isoformat(" ", "minutes"),
        f"{model.trained_to_position:,}",
        f"{model.metrics[NDCG]:.4f}" if NDCG in model.metrics else "-",
        Text(model.compared_with_version or "-"),
        Text(_last_decision(model)),
    ]


def reasons(models: Sequence[Model]) -> list[str]:
    """A line for each model: what was decided last, and why. They are sentences with numbers, too long for a column."""
    return [
        f"{model.model_version}: {_last_decision(model)}{_because(_last_reason(model, models))}"
        for model in models
    ]


def drift_document(answer: ListModelsResponse) -> dict[str, Any] | None:
    """How far traffic has moved away from the champion, as JSON shows it; None while that is not known."""
    if not answer.HasField("drift"):
        return None
    document: dict[str, Any] = MessageToDict(
        answer.drift, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return document


def drift_lines(answer: ListModelsResponse) -> list[str]:
    """The same in a sentence, and what to do where it matters."""
    if not answer.HasField("drift"):
        return []
    drift = answer.drift
    matters = max(drift.items_psi, drift.event_types_psi) > MATTERS
    return [
        f"traffic since {drift.model_version} learned differs by {drift.items_psi:.3f} in its items and by "
        f"{drift.event_types_psi:.3f} in its event types (stability index; "
        f"{'this matters: `freshet train`' if matters else f'above {MATTERS:g} it would matter'}); "
        f"{drift.new_item_share:.1%} of it is about items without a row"
    ]


def _last_decision(model: Model) -> str:
    if model.rolled_back:
        return "rolled back"
    return cause_word(model.promotions[0]) if model.promotions else "not promoted"


def _last_reason(model: Model, models: Sequence[Model]) -> str:
    if model.rolled_back:
        return _rollback_reason(model, models)
    return model.promotions[0].reason if model.promotions else model.decision.reason


def _rollback_reason(model: Model, models: Sequence[Model]) -> str:
    """Why a model was rolled back last: it is told of the one that became champion in its place; empty if that is not
    among `models`."""
    rollbacks = [
        each
        for other in models
        for each in other.promotions
        if each.cause in _ROLLBACKS and each.displaced_model_version == model.model_version
    ]
    return max(rollbacks, key=_moment).reason if rollbacks else ""


def _moment(promotion: Promotion) -> int:
    return promotion.promote_time.ToNanoseconds()


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def as_card(answer: GetModelResponse) -> RenderableType:
    """One model: its metrics, and its card."""
    model = answer.model
    table = Table("metric", "value", title=titled(f"Model {model.model_version}"))
    for name in sorted(model.metrics):
        table.add_row(Text(name), f"{model.metrics[name]:.4f}")
    return Group(table, Markdown(answer.model_card) if answer.model_card else Text(_NO_CARD))


def decisions(model: Model, models: Sequence[Model]) -> list[str]:
    """What was decided about a model, a line each, the newest first. models: with the one that is champion instead."""
    gate = "promoted" if model.decision.promoted else "not promoted"
    lines = [_line(each) for each in model.promotions] + [f"gate: {gate}: {model.decision.reason}"]
    if model.rolled_back:
        why = _because(_rollback_reason(model, models))
        lines.insert(0, f"it was rolled back and has not been promoted since{why}")
    if model.erasure_receipt_ids:
        receipts = ", ".join(model.erasure_receipt_ids)
        lines.append(f"it may have learned from users who were erased since: receipts {receipts}")
    return lines


def _line(promotion: Promotion) -> str:
    moment = promotion.promote_time.ToDatetime().isoformat(" ", "seconds")
    over = f" in place of {promotion.displaced_model_version}" if promotion.displaced_model_version else ""
    return f"{moment} champion{over} by {cause_word(promotion)}: {promotion.reason}"
