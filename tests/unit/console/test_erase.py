"""`freshet erase` against a stand-in of ingestion."""

from services.console.erasing.erasure_check import UNTIL_CHECKPOINT, Place
from services.console.erasing.verify_erasure import in_words
from tests.unit.console.conftest import document, freshet


def test_the_receipt_is_shown_as_numbers_and_the_key_in_hexadecimal(services):
    receipt = document(freshet("erase", "u", "--yes", "--json"))
    assert (receipt["receipt_id"], receipt["user_key"]) == ("r1", "000000000000000a")
    assert (receipt["position"], receipt["deleted_events"], receipt["model_versions"]) == (12, 3, ["abc"])


def test_it_waits_until_the_erasure_is_complete(services):
    services.erasures_under_way = 2
    result = freshet("erase", "u", "--yes")
    assert result.exit_code == 0
    assert result.stderr.count("erasure r1 is under way") == 2


def test_it_advises_to_train_when_models_learned_from_the_user(services):
    assert "freshet train" in freshet("erase", "u", "--yes").stdout


def test_a_no_sends_nothing(services):
    services.erasures_under_way = 1
    assert freshet("erase", "u").exit_code != 0
    assert services.erasures_under_way == 1


def test_erasing_again_is_not_advised_where_a_checkpoint_will_do():
    stored, other = Place("table user_state", 1, UNTIL_CHECKPOINT), Place("table event", 2)
    assert in_words([stored]) == (
        "table user_state (1) until the next checkpoint of the feature service; see `freshet status`"
    )
    assert in_words([stored, other]).endswith(", table event (2); erase them again")
