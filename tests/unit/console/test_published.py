"""Data sets in the files they are published in."""

import gzip
import json

import pytest

from services.console.datasets.dataset import DatasetError, DatasetItem, Interaction, read_dataset
from tests.unit.console.conftest import document, freshet

RATED = [Interaction("7", "1", 978300760.0, 5.0), Interaction("7", "2", 978302109.0, 3.0)]
AMELIE = DatasetItem("1", "Amélie (2001)", ("Comedy", "Romance"))
FLAGS = "|".join("1" if number in (5, 14) else "0" for number in range(19))
NO_FLAGS = "1" + 18 * "|0"


def lay(directory, **files):
    """Files by name; "__" in a name stands for a point."""
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    return read_dataset(directory)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_movielens_1m_and_10m_are_read_as_they_are_unpacked(tmp_path, encoding):
    dataset = lay(
        tmp_path,
        ratings__dat="7::1::5::978300760\n7::2::3::978302109\n",
        movies__dat="1::Amélie (2001)::Comedy|Romance\n".encode(encoding),
        users__dat="7::F::1::10::48067\n",
    )
    assert (dataset.interactions, dataset.items, dataset.bad_lines) == (RATED, [AMELIE], [])


def test_movielens_100k_is_read_as_it_is_unpacked(tmp_path):
    dataset = lay(
        tmp_path,
        u__data="7\t1\t5\t978300760\n7\t2\t3\t978302109\n",
        u__item=f"1|Amélie (2001)|25-Apr-2001||http://imdb|{FLAGS}\n2|unknown||||{NO_FLAGS}\n\n".encode(
            "latin-1"
        ),
    )
    assert (dataset.interactions, dataset.bad_lines) == (RATED, [])
    assert dataset.items == [AMELIE, DatasetItem("2", "unknown", ())]


def test_later_movielens_are_read_as_they_are_unpacked(tmp_path):
    dataset = lay(
        tmp_path,
        ratings__csv="userId,movieId,rating,timestamp\n7,1,5.0,978300760\n7,2,3.0,978302109\n",
        movies__csv='movieId,title,genres\n1,Amélie (2001),Comedy|Romance\n2,"Two, ""B""",(no genres listed)\n',
        tags__csv="userId,movieId,tag,timestamp\n7,1,charming,978300760\n",
    )
    assert dataset.interactions == RATED
    assert dataset.items == [AMELIE, DatasetItem("2", 'Two, "B"', ())]


@pytest.mark.parametrize(
    "name, text",
    [
        ("ratings_Beauty.csv", "7,1,5.0,978300760\n7,2,3.0,978302109\n"),
        ("ratings_Beauty.csv", "user,item,rating,timestamp\n7,1,5.0,978300760\n7,2,3.0,978302109\n"),
        ("Beauty.csv", "user_id,parent_asin,rating,timestamp\n7,1,5.0,978300760000\n7,2,3.0,978302109000\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_ratings_of_amazon_are_read_as_they_are_fetched(tmp_path, name, text, packed):
    file = tmp_path / (f"{name}.gz" if packed else name)
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert read_dataset(tmp_path).interactions == RATED


def review_of_2014(row):
    """As in the 5-core files of 2014 and 2018."""
    told = {
        "reviewerID": row.user,
        "asin": row.item,
        "overall": row.rating,
        "unixReviewTime": int(row.timestamp),
    }
    return json.dumps({**told, "reviewText": "Tears,\ttoo\n"})


def review_of_2023(row):
    """As in the files of 2023, by milliseconds."""
    told = {
        "user_id": row.user,
        "parent_asin": row.item,
        "asin": "x",
        "timestamp": int(1_000 * row.timestamp),
    }
    return json.dumps({"rating": row.rating, "title": "Tears", "images": [], **told})


@pytest.mark.parametrize(
    "name, review",
    [("reviews_Beauty_5.json.gz", review_of_2014), ("All_Beauty.jsonl.gz", review_of_2023)],
)
def test_reviews_of_amazon_are_read_as_they_are_fetched(tmp_path, name, review):
    (tmp_path / name).write_bytes(gzip.compress("".join(review(row) + "\n" for row in RATED).encode()))
    (tmp_path / f"meta_{name}").write_bytes(b"")
    assert read_dataset(tmp_path).interactions == RATED


def test_published_ratings_are_told_by_time_since_their_files_stand_user_by_user(tmp_path):
    dataset = lay(tmp_path, ratings__dat="7::1::5::9\n7::2::5::3\n8::1::5::4\n8::2::5::4\n")
    assert [(row.user, row.item) for row in dataset.interactions] == [
        ("7", "2"),
        ("8", "1"),
        ("8", "2"),
        ("7", "1"),
    ]


def test_the_own_format_goes_before_others(tmp_path):
    dataset = lay(
        tmp_path, interactions__tsv="user\titem\ttimestamp\nu\t1\t5\n", ratings__dat="7::1::5::978300760\n"
    )
    assert [row.user for row in dataset.interactions] == ["u"]


def test_of_several_data_sets_in_a_directory_none_is_guessed(tmp_path):
    with pytest.raises(
        DatasetError, match=r"several data sets, ratings_A.csv, ratings_B.csv.gz: put one into a dir"
    ):
        lay(tmp_path, ratings_A__csv="", ratings_B__csv__gz="")


def test_a_file_without_a_header_whose_columns_are_not_known_is_refused_with_the_fix(tmp_path):
    with pytest.raises(
        DatasetError, match=r"All_Beauty.csv:1: .* A file without a header needs one, in the order"
    ):
        lay(tmp_path, All_Beauty__csv="0143026860,A1V6B6TNIC10QE,1.0,1424304000\n")


@pytest.mark.parametrize(
    "name, text, line, why",
    [
        ("ratings.dat", "7::1::5::978300760\n7::1\n", 2, "2 fields, there must be 4"),
        (
            "ratings.csv",
            'userId,movieId,timestamp\n7,"1\n2",978300760\n7,1\n',
            4,
            "2 fields, the header has 3",
        ),
        ("a.jsonl", '{"user": 7, "item": 1, "timestamp": 5}\n[]\n', 2, "must be a JSON object"),
    ],
)
def test_a_bad_line_is_named_in_every_form(tmp_path, name, text, line, why):
    (tmp_path / name).write_text(text)
    assert [str(bad) for bad in read_dataset(tmp_path).bad_lines] == [f"{tmp_path / name}:{line}: {why}"]


def test_lines_behind_a_field_that_is_too_long_are_read(tmp_path):
    dataset = lay(tmp_path, ratings__csv=f"userId,movieId,timestamp\n{'x' * 200_000},1,5\n7,1,978300760\n")
    assert (len(dataset.interactions), "field larger" in str(dataset.bad_lines[0])) == (1, True)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"7,1,5.0,978300760\n" * 99)[:-9]])
def test_a_packed_file_that_is_damaged_or_cut_off_is_named(tmp_path, content):
    (tmp_path / "ratings_Beauty.csv.gz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"cannot read .*ratings_Beauty.csv.gz: "):
        read_dataset(tmp_path)


def test_a_published_data_set_is_replayed_and_its_files_are_named(services, tmp_path):
    lay(tmp_path, ratings__dat="7::1::5::978300760\n", movies__dat="1::Heat (1995)::Action\n")
    result = freshet("replay", tmp_path, "--json")
    assert (document(result)["events"]["accepted"], services.events[0].user_id) == (1, "7")
    assert "read from ratings.dat and movies.dat" in result.stderr
