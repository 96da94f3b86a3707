"""The model card: what a bundle says about itself to people (Mitchell et al. 2019, https://arxiv.org/abs/1810.03993).

It holds no clock time and nothing of this machine, so that the same training gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.trainer.cards.card_figures import CONFIDENCE, Row, Standings
from services.trainer.model.protocols.intervals import Estimate
from services.trainer.policies.gate import Decision
from shared.domain.metrics.ranking_metrics import LEAST_WITNESSES

_CURVE_ROWS = 12
_LIMITS = (
    "It knows the items that its log held. Items that came later get their rows from deltas while it is champion.",
    "The figures are of offline answers to each user's next item among all items that the user had not seen. What "
    "users would do with another list is not in them, and positions and exposures are not corrected for.",
    "The figures are of the model before it learned the newest events, those that judged it; what is served has "
    "learned these too, and nothing later could judge that.",
    "Only users who had a history before are asked; of users without one it knows what is popular.",
    "It may have learned from users who were erased since. A bundle never changes, so it cannot say: see "
    "`erasure_receipt_ids` in `GetModel` and `ListModels`, or `freshet models show`.",
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One schedule of learning. curve: (step, loss) in order, steps counted from the model's first one. capped: whether
    the time allowed has shortened it."""

    name: str
    curve: Sequence[tuple[int, float]]
    capped: bool


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card tells. shape: fields of the encoder's configuration. log_from, log_to: positions, both included.
    learned: what was learned from, such as events, by name. settings: what the run was a function of, by name.
    decision: what the gate's rule says."""

    encoder: str
    shape: Mapping[str, object]
    parameters: int
    log_from: int
    log_to: int
    learned: Mapping[str, int]
    settings: Mapping[str, object]
    lessons: Sequence[Lesson]
    standings: Standings
    decision: Decision


def model_card(facts: CardFacts) -> str:
    """The card in Markdown."""
    parts = (
        _what(facts),
        _learned(facts),
        _training(facts.lessons),
        _judged(facts.standings),
        _section(
            "Gate", [f"{'Promoted' if facts.decision.promoted else 'Not promoted'}: {facts.decision.reason}."]
        ),
        _section("Limits", [f"- {each}" for each in _LIMITS]),
    )
    return "\n".join(parts)


def _what(facts: CardFacts) -> str:
    shape = ", ".join(f"{name} {value}" for name, value in facts.shape.items())
    return (
        f"# Recommender, encoder {facts.encoder}\n\n"
        "Ranks items for a user by the user's latest events: an encoder turns the history into a vector, an item's "
        "score is its product with the item's vector, and sequence rules are mixed in.\n\n"
        f"Shape: {shape}; {facts.parameters:,} parameters beside the item table.\n"
    )


def _learned(facts: CardFacts) -> str:
    rows = {"log positions": f"{facts.log_from:,} to {facts.log_to:,}"}
    rows |= {name: f"{count:,}" for name, count in facts.learned.items()}
    rows |= {name: str(value) for name, value in facts.settings.items()}
    return _section("Data and settings", _table(("what", "value"), rows.items()))


def _training(lessons: Sequence[Lesson]) -> str:
    rows = [
        (each.name, f"{step:,}", f"{loss:.4f}") for each in lessons for step, loss in _thinned(each.curve)
    ]
    capped = [each.name for each in lessons if each.capped]
    lines = [
        "Loss by step, in nats; the picture is `curves.png`.",
        "",
        *_table(("lesson", "step", "loss"), rows),
    ]
    if capped:
        lines += [
            "",
            f"The time allowed has shortened: {', '.join(capped)}. Such a run need not repeat bit by bit.",
        ]
    return _section("Training", lines)


def _thinned(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """A few of the points, the first and the last among them."""
    last = len(curve) - 1
    if last < _CURVE_ROWS:
        return list(curve)
    return [curve[round(place * last / (_CURVE_ROWS - 1))] for place in range(_CURVE_ROWS)]


def _judged(standings: Standings) -> str:
    if not standings.rows:
        return _section("Metrics", ["Not judged: there was no later traffic of users with a history."])
    k = standings.k
    heads = ("", f"NDCG@{k}", f"HR@{k}", f"MRR@{k}", f"lead in NDCG@{k}")
    lines = [
        f"Judged on the next item of {standings.users:,} users, later than what it had learned; {CONFIDENCE:.0%} "
        "intervals by bootstrap over users, leads paired.",
        "",
        *_table(heads, map(_cells, standings.rows)),
        "",
        *(f"- {_verdict(row, standings.users)}" for row in standings.rows[1:]),
        *(f"- Not compared with {each}." for each in standings.left_out),
    ]
    return _section("Metrics", lines)


def _cells(row: Row) -> tuple[str, ...]:
    name = f"{row.name} (baseline)" if row.baseline else row.name
    figures = (_figure(each) for each in (row.ndcg, row.hit_rate, row.mrr))
    return (name, *figures, _figure(row.lead, "+") if row.lead else "")


def _figure(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.value:{sign}.4f} [{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]"


def _verdict(row: Row, users: int) -> str:
    assert row.lead is not None, "everybody but the candidate has a lead over it or not"
    if users < LEAST_WITNESSES:
        return f"**It does not clearly beat {row.name}**: {users} users are too few to tell."
    if row.lead.low > 0.0:
        return f"It beats {row.name}."
    if row.lead.high < 0.0:
        return f"**It does worse than {row.name}.**"
    return f"**It does not clearly beat {row.name}**: the interval of the lead holds 0."


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(each)} |" for each in lines]


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""])
