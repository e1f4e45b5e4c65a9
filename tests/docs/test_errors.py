"""Every error code is run into for real, and docs/errors.md says of it what came."""

import importlib
import pkgutil
import re
import sys
import tempfile
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import aixtiv
from aixtiv_protocol import VERSION, words
from docs.provoked import PROVOKED
from docs.scene import QUIET, Scene
from peers.authority.process import authorization_server
from peers.machine import Machine
from protocol.specification import rows

PAGE = (Path(__file__).parents[2] / "docs/errors.md").read_text(encoding="utf-8")
TABLE = {row[0].partition("`")[2].partition("`")[0]: row for row in rows(PAGE, "code")}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """One for all: a failure leaves everything as it was."""
    with (
        tempfile.TemporaryDirectory(prefix="aix-", dir="/tmp") as folder,
        tempfile.TemporaryDirectory(prefix="aix-", dir="/tmp") as spare,
        authorization_server() as server,
        Machine(Path(folder)) as machine,
    ):
        machine.configure(QUIET)
        yield Scene(machine.start(), server, Path(spare), set())


@pytest.fixture
def spare(scene: Scene, folder: Path) -> Scene:
    """With a new folder for what happens elsewhere."""
    return Scene(scene.machine, scene.server, folder, scene.names)


def section(code: str) -> str:
    return re.split(r"^##", PAGE.partition(f"\n### {code}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("code", PROVOKED)
def test_it_can_be_run_into_and_its_entry_says_what_comes(spare: Scene, code: str) -> None:
    came = PROVOKED[code](spare)
    assert came.code == code
    shown = re.match(r"\s*```\naixtiv: error: (.*)\n(?:aixtiv: hint: (.*)\n)?```\n", section(code))
    if code != "unread":  # of which nothing is said
        assert shown, f"{code} has no example"
        assert (_steady(spare, came.sentence), _steady(spare, came.hint)) == (shown[1], shown[2] or "")
    assert TABLE[code][1:3] == [str(came.exit_status), "yes" if came.retry else "no"]


def _steady(scene: Scene, text: str) -> str:
    """What differs each time, as on the machine of the documents' person."""
    text = text.replace(scene.server.issuer, "https://id.example.org")
    text = text.replace(scene.server.issuer.partition("//")[2], "id.example.org")
    text = text.replace(str(scene.machine.home), "/home/ada").replace(str(scene.spare), "/run/user/1000")
    text = re.sub(rf"aixtivd {re.escape(VERSION)}\b", "aixtivd 0.1.0", text)
    text = re.sub(r"let /\S+(?: .*)? have", "let /usr/bin/python3 have", text)
    return re.sub(r"--pid \d+", "--pid 4711", text)


def test_every_code_there_is_has_an_entry_and_is_run_into() -> None:
    assert set(PROVOKED) == codes()
    assert list(TABLE) == sorted(PROVOKED)
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == set(PROVOKED)


def codes() -> set[str]:
    """The wire's, and those of every class of the client's, wherever it stands."""
    for module in pkgutil.walk_packages(aixtiv.__path__, "aixtiv."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {*typing.get_args(words.Code)}
    waiting = [sys.modules["aixtiv.failures"].AixtivError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.add(kind.code)
    return found


@pytest.mark.parametrize("code", PROVOKED)
def test_every_entry_says_what_to_do_in_more_than_its_example(code: str) -> None:
    assert len(re.sub(r"```.*?```", "", section(code), flags=re.DOTALL).split()) > 9
