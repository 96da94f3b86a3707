"""Reading data sets, and naming what is wrong with them."""

import math
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.datasets.dataset import (
    Dataset,
    DatasetError,
    DatasetItem,
    Interaction,
    read_dataset,
    write_dataset,
)
from shared.adapters.codecs.keys import spelt_alike


def test_items_and_interactions_are_read_in_file_order(films):
    dataset = read_dataset(films)
    assert dataset.name == "films"
    assert dataset.items[0] == DatasetItem("1", "Toy Story", ("Animation", "Comedy"))
    assert dataset.items[2].genres == ()
    assert dataset.interactions[0] == Interaction("u", "1", 874724710.0, 4.0)
    assert [row.item for row in dataset.interactions] == ["1", "2", "2", "3", "3"]


def test_columns_are_found_by_the_header_and_others_are_left_out(films):
    (films / "interactions.tsv").write_text("rating\tdevice\titem\tuser\ttimestamp\n4\ttv\t1\tu\t5\n")
    assert read_dataset(films).interactions == [Interaction("u", "1", 5.0, 4.0)]


def test_a_column_may_tell_what_each_interaction_is_and_its_value_may_be_absent_then(films):
    header = "user\titem\ttimestamp\trating\tevent_type\n"
    (films / "interactions.tsv").write_text(
        f"{header}u\t1\t5\t9.5\tpurchase\nu\t2\t6\t4\t\nu\t3\t7\t\tclick\n"
    )
    bought, rated, clicked = read_dataset(films).interactions
    assert (bought.event_type, bought.rating) == ("purchase", 9.5)
    assert (rated.event_type, rated.rating) == ("rate", 4.0)
    assert clicked.event_type == "click" and math.isnan(clicked.rating)


@pytest.mark.parametrize(
    "line, why", [("4\tbuy", "event_type must be one of"), ("\trate", "rating must be a number")]
)
def test_a_type_that_is_none_and_a_rating_without_a_value_are_bad_lines(films, line, why):
    header = "user\titem\ttimestamp\trating\tevent_type\n"
    (films / "interactions.tsv").write_text(f"{header}u\t1\t5\t{line}\n")
    assert why in str(read_dataset(films).bad_lines[0])


@given(
    st.lists(
        st.builds(
            Interaction,
            st.text("uv é|", min_size=1).map(spelt_alike),
            st.just("i"),
            st.integers(0, 10**9).map(float),
            st.floats(-1e6, 1e6, width=32),
            st.sampled_from(["rate", "click", "purchase"]),
        )
    )
)
def test_what_is_written_is_read_back(rows):
    dataset = Dataset("d", [DatasetItem("i", "A title", ("x", "y"))], rows)
    with tempfile.TemporaryDirectory() as directory:
        write_dataset(dataset, Path(directory))
        read = read_dataset(Path(directory))
    assert (read.items, read.interactions, read.bad_lines) == (dataset.items, rows, [])


def test_ids_are_read_as_services_spell_them(films):
    decomposed = unicodedata.normalize("NFD", "Zoë")
    (films / "interactions.tsv").write_text(f"user\titem\ttimestamp\n {decomposed}\t{decomposed} \t5\n")
    (row,) = read_dataset(films).interactions
    assert (row.user, row.item) == ("Zoë", "Zoë")


def test_a_text_that_would_break_the_lines_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="a tab or the end of a line"):
        write_dataset(Dataset("d", [DatasetItem("i", "two\twords", ())]), tmp_path)


def test_windows_line_ends_are_understood(films):
    (films / "interactions.tsv").write_bytes(b"user\titem\ttimestamp\trating\r\nu\t1\t5\t4\r\n")
    assert read_dataset(films).interactions == [Interaction("u", "1", 5.0, 4.0)]


def test_a_byte_order_mark_is_no_part_of_the_first_column(films):
    (films / "interactions.tsv").write_text("user\titem\ttimestamp\nu\t1\t5\n", encoding="utf-8-sig")
    (films / "items.tsv").write_text("item\ttitle\n1\tHeat\n", encoding="utf-8-sig")
    dataset = read_dataset(films)
    assert (len(dataset.interactions), len(dataset.items)) == (1, 1)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("u\t1\t5", "3 fields, the header has 4"),
        ("\t1\t5\t4", "user is empty"),
        ("u\t1\tnoon\t4", "timestamp must be a number, not 'noon'"),
        (
            "u\t1\t1997-09-20\t4",
            "timestamp must be a number, not '1997-09-20': seconds or milliseconds since 1970",
        ),
        (
            f"u\t1\t{874724710 * 10**6}\t4",
            "timestamp must be seconds or milliseconds since 1970, not '874724710000000'",
        ),
        ("u\t1\t-5\t4", "timestamp must be seconds or milliseconds since 1970"),
        ("u\t1\t5\tnan", "rating must be a number, not 'nan'"),
        ("u\t1\t5\t-1e300", "rating must be a number that 32 bits hold (float32), not '-1e300'"),
        ("", "1 fields"),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_the_others_are_read(films, line, why):
    (films / "interactions.tsv").write_text(
        f"user\titem\ttimestamp\trating\nu\t1\t5\t4\n{line}\nu\t2\t6\t4\n"
    )
    dataset = read_dataset(films)
    assert len(dataset.interactions) == 2
    assert str(dataset.bad_lines[0]).startswith(f"{films / 'interactions.tsv'}:3: {why}")


def test_a_missing_column_is_named_with_those_that_are_needed(films):
    (films / "interactions.tsv").write_text("user\tfilm\twhen\nu\t1\t5\n")
    with pytest.raises(
        DatasetError, match=r"interactions.tsv:1: the header lacks item, timestamp; needed are user"
    ):
        read_dataset(films)


def test_what_a_data_set_does_not_tell_is_not_known_of_its_items_and_interactions(films):
    (films / "items.tsv").write_text("name\titem\nToy Story\t1\n")
    (films / "interactions.tsv").write_text("user\titem\ttimestamp\nu\t1\t5\n")
    dataset = read_dataset(films)
    assert (dataset.items, dataset.bad_lines) == ([DatasetItem("1", "", ())], [])
    [rated] = dataset.interactions
    assert rated.event_type == "rate" and math.isnan(rated.rating)


def test_a_data_set_may_tell_of_interactions_alone(films):
    (films / "items.tsv").unlink()
    dataset = read_dataset(films)
    assert dataset.items == [] and len(dataset.interactions) == 5


def test_an_empty_file_lacks_its_header(films):
    (films / "items.tsv").write_text("")
    with pytest.raises(DatasetError, match="the header lacks item;"):
        read_dataset(films)


def test_times_too_large_to_be_seconds_are_milliseconds(films):
    (films / "interactions.tsv").write_text("user\titem\ttimestamp\nu\t1\t874724710\nu\t2\t874724710500\n")
    assert [row.timestamp for row in read_dataset(films).interactions] == [874724710.0, 874724710.5]


def test_a_missing_file_is_named_with_what_else_would_do(films):
    (films / "interactions.tsv").unlink()
    with pytest.raises(
        DatasetError, match=r"films has no interactions.tsv .*ratings.dat, ratings.csv .MovieLens"
    ):
        read_dataset(films)


def test_another_encoding_is_named(films):
    (films / "items.tsv").write_bytes("item\ttitle\tgenres\n1\tAmélie\t\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="is not UTF-8"):
        read_dataset(films)
