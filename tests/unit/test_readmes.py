"""What the READMEs point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
READMES = [
    TOP / "README.md",
    *sorted(TOP.glob("services/*/README.md")),
    *sorted(TOP.glob("tests/*/README.md")),
]
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)")


def heading_anchors(file: Path) -> set[str]:
    """As GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("readme", READMES, ids=lambda file: str(file.relative_to(TOP)))
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(readme):
    links = LINK.findall(readme.read_text())
    assert links
    for path, anchor in links:
        target = (readme.parent / path).resolve() if path else readme
        assert target.exists(), f"{path} is not there"
        assert not anchor or anchor in heading_anchors(target), f"{path} has no heading {anchor}"
