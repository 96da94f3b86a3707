"""`freshet simulate` as typed."""

import math

from services.console.datasets.dataset import read_dataset
from tests.unit.console.conftest import document, freshet

SMALL = ("--events", 300, "--shoppers", 10, "--items", 30, "--seed", 2)


def test_the_directory_reads_back_as_a_data_set_with_event_types(tmp_path):
    told = document(freshet("simulate", tmp_path / "shop", *SMALL, "--taste-shift", 0.5, "--json"))
    dataset = read_dataset(tmp_path / "shop")
    assert (told["events"], told["domain"], told["users"]) == (300, "e-commerce", 10)
    assert (len(dataset.interactions), len(dataset.items), dataset.bad_lines) == (300, 30, [])
    types = {row.event_type for row in dataset.interactions}
    assert {"click", "view-item", "add-to-cart"} <= types
    assert all(math.isnan(row.rating) == (row.event_type in ("click", "view-item", "remove-from-cart"))
               for row in dataset.interactions)  # fmt: skip
    assert all(item.title and len(item.genres) == 2 for item in dataset.items)


def test_the_same_options_write_the_same_files(tmp_path):
    for name in ("a", "b"):
        freshet("simulate", tmp_path / name, *SMALL)
    for file in ("items.tsv", "interactions.tsv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_data_set_that_is_there_is_not_written_over_unless_it_is_asked_for(films):
    before = (films / "interactions.tsv").read_bytes()
    refused = freshet("simulate", films, *SMALL)
    assert (refused.exit_code, (films / "interactions.tsv").read_bytes()) == (1, before)
    assert (
        f"{films / 'items.tsv'} is there already: choose another directory, or --overwrite" in refused.stderr
    )


def test_a_data_set_is_written_over_where_it_is_asked_for(films):
    assert document(freshet("simulate", films, *SMALL, "--overwrite", "--json"))["events"] == 300


def test_it_says_how_to_judge_the_data(tmp_path):
    assert "--domain e-commerce" in freshet("simulate", tmp_path / "s", *SMALL).stdout


def test_new_items_without_a_shift_are_wrong_usage(tmp_path):
    result = freshet("simulate", tmp_path / "s", *SMALL, "--new-items", 0.2)
    assert (result.exit_code, "--taste-shift" in result.stderr) == (2, True)


def test_more_items_than_the_shop_has_titles_are_wrong_usage(tmp_path):
    result = freshet("simulate", tmp_path / "s", "--items", 50_000)
    assert (result.exit_code, "--items must be at most 39,936" in result.stderr) == (2, True)


def test_a_shop_in_which_everything_is_bought_ends_with_the_fix(tmp_path):
    result = freshet("simulate", tmp_path / "s", "--events", 300, "--shoppers", 2, "--items", 1)
    assert (result.exit_code, (tmp_path / "s").exists()) == (1, False)
    assert "every shopper has bought everything that is sold" in result.stderr
    assert "more items or shoppers, or fewer events" in result.stderr


def test_the_events_are_replayed_as_what_they_are(services, tmp_path):
    freshet("simulate", tmp_path / "shop", *SMALL)
    report = document(freshet("replay", tmp_path / "shop", "--json"))
    assert report["events"]["accepted"] == 300
    rows = read_dataset(tmp_path / "shop").interactions
    assert [event.event_type for event in services.events] == [row.event_type for row in rows]
    assert [event.items[0].HasField("value") for event in services.events] == [
        not math.isnan(row.rating) for row in rows
    ]
