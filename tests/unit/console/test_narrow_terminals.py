"""What is to be copied is shown whole, however narrow the terminal is."""

import io

import pytest
from rich.console import Console

from freshet.ingestion.v1.ingestion_pb2 import WriteOutcome
from freshet.ranking.v1.ranking_pb2 import RankedItem, RankItemsResponse, RecommendResponse, RecommendResult
from services.console import outcomes
from services.console.answers import rank, recommend
from services.console.log import skew
from services.console.suite import status
from services.console.suite.health import ServiceHealth

LONG = "x" * 128
TABLES = {
    "recommend, item": recommend.as_table(
        "u", RecommendResponse(results=[RecommendResult(item_id=LONG)]), {}
    ),
    "rank, item": rank.as_table("u", RankItemsResponse(results=[RankedItem(item_id=LONG)])),
    "outcomes, item": outcomes.as_table("item", [LONG], [WriteOutcome(id=LONG)]),
    "skew, exposure": skew.as_table(
        {
            "differences": 1,
            "exposures": 1,
            "first_differences": [
                {"attribution_token": LONG, "user_id": "u", "position": 1, "feature": "history_times_ms"}
            ],
        }
    ),
    "status, address": status.as_table([ServiceHealth("ranking", LONG, "serving")]),
}


@pytest.mark.parametrize("place", TABLES)
def test_an_id_or_an_address_is_never_cut(place):
    console = Console(width=40, record=True, file=io.StringIO())
    console.print(TABLES[place], crop=False)
    assert LONG in console.export_text()
