"""A manifest always names the code."""

import re
from importlib.metadata import version

from services.trainer.revision import code_revision


def test_what_the_deployment_says_is_believed():
    assert code_revision("v1.2") == "v1.2"


def test_without_git_the_package_version_stands_in(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert code_revision("") == f"freshet {version('freshet')}"


def test_a_checkout_gives_its_revision_and_whether_it_was_changed():
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|freshet \S+", code_revision(""))
