"""The images that are built are the ones that Compose runs."""

import re
import subprocess

import yaml

from deploy.local.settings import REPOSITORY, SERVICES

IMAGE = re.compile(r"(.+):\$\{FRESHET_VERSION:-(.+)\}")


def tag_built(*variables: str) -> str:
    """The tag that `make images` gives, which only says here what it would do."""
    command = ["make", "--dry-run", "images", *variables]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return re.search(r"--tag freshet-\$service:(\S+)", said)[1]


def test_make_images_gives_the_tag_that_compose_runs(monkeypatch):
    monkeypatch.delenv("FRESHET_VERSION", raising=False)
    services = yaml.safe_load((REPOSITORY / "deploy" / "compose.yaml").read_text())["services"]
    images = {IMAGE.fullmatch(services[name]["image"]).groups() for name in SERVICES}
    assert images == {(f"freshet-{name}", tag_built()) for name in SERVICES}
    assert tag_built("FRESHET_VERSION=9.9") == "9.9"
