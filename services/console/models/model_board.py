"""What `EvaluateModel` answers, as the scoreboard that `freshet evaluate` shows."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from freshet.trainer.v1.trainer_pb2 import EvaluateModelResponse, Figures, Gain, Standing

LIST_LENGTH = 10
_METRICS = ("ndcg", "hit_rate", "mrr", "coverage")
_SEGMENT_MEANINGS = {
    "new users": "users with fewer than five events before the question",
    "new items": "items with fewer than five events before the question",
    "long histories": "users whose history fills what a model is shown",
}


def board_of(answer: EvaluateModelResponse, protocol: str) -> dict[str, Any]:
    """The scoreboard as JSON shows it."""
    segments = set().union(*(each.segments for each in answer.standings))
    known = {name: meaning for name, meaning in _SEGMENT_MEANINGS.items() if name in segments}
    return {
        "model_version": answer.model_version,
        "protocol": protocol,
        "k": LIST_LENGTH,
        "confidence": answer.confidence,
        "learned_to_position": answer.learned_to_position,
        "judged_to_position": answer.judged_to_position,
        "questions": answer.question_count,
        "users": answer.user_count,
        "catalogue_items": answer.item_count,
        "segment_meanings": known | dict.fromkeys(sorted(segments - set(known)), ""),
        "standings": [_standing(each) for each in answer.standings],
        "gains": [_gain(each) for each in answer.gains],
        "verdicts": [answer.verdict],
        "prompted_events": answer.prompted_event_count,
        "prompted_asked": answer.prompted_asked,
    }


def lines_of(board: dict[str, Any]) -> list[str]:
    """What the figures stand on, and whether the model beats the baselines."""
    return [
        f"{board['questions']:,} questions to {board['users']:,} users, {board['catalogue_items']:,} items",
        f"learned up to position {board['learned_to_position']:,}, judged by what follows up to "
        f"{board['judged_to_position']:,}",
        *_prompted(board),
        *(f"{name}: {meaning}" for name, meaning in board["segment_meanings"].items()),
        *board["verdicts"],
    ]


def _prompted(board: dict[str, Any]) -> list[str]:
    if not board["prompted_events"]:
        return []
    events = f"{board['prompted_events']:,} events that a recommendation may have prompted are"
    if board["prompted_asked"]:
        return [
            f"{events} asked for, too, which favours the model that recommended: there are too few others"
        ]
    return [f"{events} not asked for"]


def _standing(standing: Standing) -> dict[str, Any]:
    told = {name: getattr(standing, name) for name in ("name", "mode", "baseline", "best")}
    segments = {name: _figures(each) for name, each in sorted(standing.segments.items())}
    return {**told, "overall": _figures(standing.overall), "segments": segments}


def _figures(figures: Figures) -> dict[str, Any]:
    return {"questions": figures.question_count} | {name: _plain(getattr(figures, name)) for name in _METRICS}


def _gain(gain: Gain) -> dict[str, Any]:
    return {
        "name": gain.name,
        "of": gain.of,
        "against": gain.against,
        "difference": _plain(gain.difference),
    }


def _plain(estimate: Any) -> dict[str, float]:
    values: dict[str, float] = MessageToDict(estimate, always_print_fields_with_no_presence=True)
    return values
