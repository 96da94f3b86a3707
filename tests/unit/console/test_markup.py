"""Ids and names from outside are shown as they stand: none is read as markup."""

import io

import pytest
from rich.console import Console

from freshet.ingestion.v1.ingestion_pb2 import DeadLetter, ErasureReceipt, WriteOutcome
from freshet.ranking.v1.ranking_pb2 import RankedItem, RankItemsResponse, RecommendResponse, RecommendResult
from freshet.trainer.v1.trainer_pb2 import GetModelResponse, Model, TrainingRun
from services.console import outcomes, output, standings
from services.console.answers import rank, recommend
from services.console.erasing import receipts, verify_erasure
from services.console.erasing.erasure_check import Place
from services.console.judging import live
from services.console.judging.evaluation import Evaluation
from services.console.judging.judged_lists import Metrics
from services.console.log import dead_letters, replay_check, skew
from services.console.models import model_tables, training
from services.console.suite import health, status
from tests.unit.console.conftest import freshet

WORDS = ("[/b]", "[red]x[/red]", ":heart:", "a\\")


def evaluation(word: str) -> Evaluation:
    none = Metrics(0, 0, 0, 0)
    return Evaluation(word, 0, 0, 0, none, none, "", 0, 0, 0, 0, {}, {}, "")


def board(word: str) -> dict:
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6}
    figures = {"questions": 1, **dict.fromkeys(("ndcg", "hit_rate", "mrr", "coverage"), estimate)}
    standing = {
        "name": word,
        "mode": word,
        "best": False,
        "overall": figures,
        "segments": {word: figures},
    }
    told = {"dataset": word, "protocol": "temporal", "confidence": 0.95, "k": 10}
    return {**told, "standings": [standing], "segment_meanings": {word: ""}, "gains": []}


SHOWN = {
    "recommend, user": lambda word: recommend.as_table(word, RecommendResponse(), {}),
    "recommend, item": lambda word: recommend.as_table(
        "u", RecommendResponse(results=[RecommendResult(item_id=word)]), {}
    ),
    "recommend, title": lambda word: recommend.as_table(
        "u", RecommendResponse(results=[RecommendResult(item_id="i")]), {"i": word}
    ),
    "rank, user": lambda word: rank.as_table(word, RankItemsResponse()),
    "rank, item": lambda word: rank.as_table("u", RankItemsResponse(results=[RankedItem(item_id=word)])),
    "rank, behaviour": lambda word: rank.as_table(
        "u", RankItemsResponse(results=[RankedItem(probabilities={word: 0.5})])
    ),
    "status, address and facts": lambda word: status.as_table(
        [health.ServiceHealth("trainer", "a:1", "down", {"error": word})]
    ),
    "status, address": lambda word: status.as_table([health.ServiceHealth("trainer", word, "down")]),
    "skew": lambda word: skew.as_table(
        {
            "differences": 1,
            "exposures": 1,
            "first_differences": [
                {"attribution_token": "t", "user_id": word, "position": 1, "feature": "history"}
            ],
        }
    ),
    "replay-check": lambda word: replay_check.as_table(
        {
            "equal": False,
            "position": 1,
            "partitions": [
                {
                    "partition": 0,
                    "users": 1,
                    "items": 1,
                    "equal": False,
                    "served_digest": word,
                    "replayed_digest": "",
                }
            ],
        }
    ),
    "receipt": lambda word: receipts.receipt_table(ErasureReceipt(receipt_id=word)),
    "receipt, models": lambda word: receipts.receipt_table(ErasureReceipt(model_versions=[word])),
    "verify-erasure": lambda word: verify_erasure._table(ErasureReceipt(receipt_id=word), []),
    "verify-erasure, note": lambda word: verify_erasure._table(ErasureReceipt(), [Place("log", 0, word)]),
    "models": lambda word: model_tables.as_table([Model(model_version=word)]),
    "models show": lambda word: model_tables.as_card(GetModelResponse(model=Model(model_version=word))),
    "models show, metric": lambda word: model_tables.as_card(
        GetModelResponse(model=Model(metrics={word: 0.5}))
    ),
    "train": lambda word: training.as_table(TrainingRun(run_id=word)),
    "train, metric": lambda word: training.as_table(TrainingRun(metrics={word: 0.5})),
    "evaluate": lambda word: standings.as_tables(board(word)),
    "evaluate --live": lambda word: live.as_table(evaluation(word)),
    "outcomes": lambda word: outcomes.as_table("item", [word], [WriteOutcome(status=1)]),
    "dead letters": lambda word: dead_letters._letters_table([DeadLetter(dead_letter_id=word)]),
}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("place", SHOWN)
def test_what_comes_from_outside_is_shown_as_it_stands(place, word):
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(SHOWN[place](word))
    assert word in console.export_text()


@pytest.mark.parametrize("word", WORDS)
def test_the_commands_show_the_user_that_was_asked_for(services, word):
    assert f"Recommended to {word}" in freshet("recommend", word).stdout
    assert f"Items for {word}" in freshet("rank", word, word).stdout


@pytest.mark.parametrize("word", WORDS)
def test_no_output_reads_markup_even_where_a_plain_string_is_printed(word, capsys):
    output.Output(as_json=False).result({}, word, [word])
    assert capsys.readouterr().out.split() == [word, word]


@pytest.mark.parametrize("word", WORDS)
def test_progress_is_drawn_as_it_stands(word):
    drawn = output.Output(as_json=False)
    drawn.progress_console = Console(width=200, file=io.StringIO(), record=True, force_terminal=True)
    with drawn.progress("steps") as progress:
        progress.add_task(word, total=1, detail=word)
    assert drawn.progress_console.export_text().count(word) >= 2
