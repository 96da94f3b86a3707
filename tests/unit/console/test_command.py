"""The command line itself: what it is stopped by, what it cannot write, what it cannot read."""

import json
import subprocess
import sys

import pytest

from services.console.exit_codes import INTERRUPTED
from tests.unit.console.conftest import freshet

INTERRUPTED_WHILE_LOADING = """
import os, signal, sys

module = sys.argv.pop(1)
# Shells let what they start in the background ignore it, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from services.console.command import main
main()
"""

MISSING = """
import sys
sys.modules[sys.argv.pop(1)] = None
from services.console.command import main
main()
"""

INTERRUPTED_AGAIN = """
import atexit, os, signal
from services.console import cli, command

def interrupted():
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(os.kill, os.getpid(), signal.SIGINT)
cli.run_typed = interrupted
command.main()
"""


def run(code: str, *arguments: str, **streams: object) -> subprocess.CompletedProcess[str]:
    """Code in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **streams)


@pytest.mark.parametrize(
    "module", ["click", "grpc._cython", "shared.client", "services.console.suite.status"]
)
def test_an_interrupt_while_code_is_loaded_is_told_in_a_line_and_ends_with_130(module):
    ended = run(INTERRUPTED_WHILE_LOADING, module, "status")
    assert (ended.returncode, ended.stderr) == (INTERRUPTED, "freshet: stopped\n")


def test_an_interrupt_while_a_command_is_ending_already_is_not_heard():
    ended = run(INTERRUPTED_AGAIN)
    assert (ended.returncode, ended.stderr) == (INTERRUPTED, "freshet: stopped\n")


def test_to_load_where_the_command_begins_loads_no_package():
    code = "import sys, services.console.command; print({'click', 'grpc', 'rich'} & set(sys.modules))"
    assert run(code, stdout=subprocess.PIPE).stdout == "set()\n"


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("--help",)])
def test_a_full_disk_behind_stdout_is_told_in_a_line_and_ends_with_1(nobody, arguments):
    with open("/dev/full", "w") as full:
        ended = run("from services.console.command import main; main()", *arguments, stdout=full)
    told = "freshet: the output cannot be written: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, told)


def test_a_full_disk_behind_the_stdout_of_a_local_run_is_told_as_well():
    with open("/dev/full", "w") as full:
        ended = run("from deploy.local.__main__ import main; main()", stdout=full)
    told = "freshet: the output cannot be written: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, told)


@pytest.mark.parametrize(
    "package, arguments",
    [
        ("psutil", ("up",)),
        ("deploy", ("simulate", "shop")),
        ("psutil", ("evaluate", "--live", "--data", "films")),
    ],
)
def test_a_package_that_is_missing_is_told_in_a_line_with_what_installs_it(
    films, monkeypatch, package, arguments
):
    monkeypatch.chdir(films.parent)
    ended = run(MISSING, package, *arguments)
    told = f"freshet: this command needs the package {package}: pip install 'freshet[local]'\n"
    assert (ended.returncode, ended.stderr.endswith(told), "Traceback" in ended.stderr) == (1, True, False)


def test_what_a_terminal_cannot_show_is_a_question_mark(nobody, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setenv("FRESHET_RANKING_ADDRESS", "höst:1")
    ended = run("from services.console.command import main; main()", "status", stdout=subprocess.PIPE)
    assert (ended.returncode, "h?st:1" in ended.stdout, "Traceback" in ended.stderr) == (1, True, False)


def test_json_is_utf8_whatever_the_terminal_shows(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1:replace")
    code = "from services.console.output import Output; Output(True).result({'title': 'Żółć'}, '')"
    assert json.loads(run(code, stdout=subprocess.PIPE, encoding="utf-8").stdout) == {"title": "Żółć"}


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("recommend", "a\udcffb"), "argument 2, 'a\\xffb', is not UTF-8"),
        (("items", "delete", "\udcff", "--yes"), "argument 3, '\\xff', is not UTF-8"),
        (("evaluate", "--data", "é", "--output=\udcff"), "argument 4, '--output=\\xff', is not UTF-8"),
    ],
)
def test_an_argument_that_is_not_utf8_is_wrong_usage_told_in_a_line(arguments, told):
    result = freshet(*arguments)
    assert (result.exit_code, result.stderr) == (2, f"Error: {told}\n")
