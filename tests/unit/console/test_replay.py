"""`freshet replay` as typed."""

from tests.unit.console.conftest import document, freshet


def test_everything_is_sent_in_file_order_and_counted(services, films):
    report = document(freshet("replay", films, "--json"))
    assert [event.event_id for event in services.events][:2] == ["films-u-1-874724710", "films-v-2-874724711"]
    assert (report["items"]["accepted"], report["events"]["accepted"]) == (3, 5)
    assert report["consistency_token"]


def test_a_second_replay_is_all_duplicates(services, films):
    freshet("replay", films)
    report = document(freshet("replay", films, "--json"))
    assert (report["events"]["accepted"], report["events"]["duplicate"]) == (0, 5)


def test_limit_sends_the_first_ones(services, films):
    assert document(freshet("replay", films, "--limit", 2, "--json"))["events"]["accepted"] == 2


def test_holdout_keeps_back_the_last_event_of_each_user(services, films):
    freshet("replay", films, "--holdout", "leave-one-out")
    assert [event.items[0].item_id for event in services.events] == ["1", "2", "2"]


def test_events_that_come_back_unavailable_are_sent_again(services, films):
    services.unavailable_batches = 2
    report = document(freshet("replay", films, "--json"))
    assert report["events"]["accepted"] == 5


def test_a_log_that_stays_away_ends_the_replay_with_the_fix(services, films):
    services.unavailable_batches = 1_000
    result = freshet("replay", films, "--wait-seconds", 0)
    assert result.exit_code == 1
    assert "ingestion cannot serve now: ingestion does not reach the log" in result.stderr


def test_bad_lines_are_named_and_nothing_is_sent(services, films):
    with (films / "interactions.tsv").open("a") as file:
        file.write("u\t1\tsoon\t4\n")
    result = freshet("replay", films)
    assert result.exit_code == 1
    assert "interactions.tsv:7: timestamp must be a number" in result.stderr
    assert services.events == []


def test_bad_lines_can_be_skipped(services, films):
    with (films / "interactions.tsv").open("a") as file:
        file.write("u\t1\tsoon\t4\n")
    assert document(freshet("replay", films, "--skip-bad-lines", "--json"))["events"]["accepted"] == 5


def test_an_id_that_no_item_can_have_does_not_keep_the_replay_from_its_end(services, films):
    with (films / "interactions.tsv").open("a") as file:
        file.write(f"u\t{'x' * 129}\t874724799\t4\n")
    assert freshet("replay", films).exit_code == 0


def test_refused_items_are_shown_with_the_reason_and_end_with_1(services, films):
    services.refused_items = {"2"}
    result = freshet("replay", films)
    assert result.exit_code == 1
    assert "2: title: is too long" in result.stdout
