"""The man pages and docs/options.md say what `--help` and docs/ say, and real formatters read them without a word."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Final

import pytest

from manual import commands, markdown, pages
from manual.roff import Page, styled
from peers import presence

PAGES: Final = {path.name: text for path, text in pages.written().items()}
MAN: Final = [name for name in PAGES if not name.endswith(".md")]


@pytest.mark.parametrize("path", pages.written())
def test_what_is_committed_is_what_the_help_says_now(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path.name], "make man"


@pytest.mark.parametrize("name", MAN)
def test_mandoc_has_nothing_to_complain_of(name: str) -> None:
    mandoc = presence.command("mandoc", package="mandoc")
    ran = subprocess.run([mandoc, "-Tlint", "-Wstyle"], input=PAGES[name], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


@pytest.mark.parametrize("name", MAN)
def test_groff_formats_them_without_a_warning(name: str) -> None:
    groff = presence.command("groff", package="groff-base")
    ran = subprocess.run(
        [groff, "-man", "-ww", "-Tutf8"], input=PAGES[name], capture_output=True, text=True, check=False
    )
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert ran.stdout


def read(name: str) -> str:
    """As a person sees it, without line breaks and with plain dashes."""
    mandoc = presence.command("mandoc", package="mandoc")
    ran = subprocess.run([mandoc, "-Tutf8"], input=PAGES[name], capture_output=True, text=True, check=True)
    return " ".join(re.sub(".\b", "", ran.stdout).split())


def test_every_command_and_every_option_is_in_the_page_as_it_is_typed() -> None:
    shown = read("aixtiv.1")
    described = [one for _, found in commands.sections() for one in found]
    assert [one.path for one in described if one.path not in shown] == []
    options = {names for one in described for names, _ in one.options if "--help" not in names}
    assert len(options) > 60
    assert [names for names in options if " ".join(names.split()) not in shown] == []


def test_every_key_of_the_config_is_in_its_page() -> None:
    shown = read("aixtiv.toml.5")
    document = (pages.ROOT / "docs/config.md").read_text(encoding="utf-8")
    keys = re.findall(r"^\| `([a-z-]+)` \| ", document, re.MULTILINE)
    assert len(keys) > 40
    assert [key for key in keys if key not in shown] == []
    assert "* everything" in shown


def test_every_option_of_the_daemon_is_in_its_page() -> None:
    shown = read("aixtivd.8")
    assert [
        option for option in ("--config PATH", "--log-level {", "--check-config", "SIGHUP") if option not in shown
    ] == []


def test_the_wheel_puts_each_page_where_man_looks_for_it() -> None:
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert {name: target for name, target in shared.items() if name.startswith("man/")} == {
        f"man/{name}": f"share/man/man{name[-1]}/{name}" for name in MAN
    }


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("plain", "plain"),
        ("a `--flag` here", "a \\fB\\-\\-flag\\fR here"),
        ("`*` and **two**", "\\fB*\\fR and \\fBtwo\\fR"),
        ("say --min-ttl, re-read", "say \\-\\-min\\-ttl, re-read"),
        ("see [keys.md](keys.md#a-(b))", "see keys.md"),
        ("back\\slash ~ ^ 'x'", "back\\eslash \\(ti \\(ha \\(aqx\\(aq"),
        ("…", "\\[u2026]"),
    ],
)
def test_prose_is_written_as_roff_wants_it(text: str, roff: str) -> None:
    assert styled(text) == roff


def test_no_line_is_taken_for_a_request() -> None:
    page = Page("x", 1, "1", "2026-01-01", "t")
    page.section("a")
    page.prose(".so /etc/passwd")
    page.literal(["'br", ".B"])
    assert [line for line in page.text().splitlines() if line.startswith((".so", "'br", ".B"))] == []


def test_a_table_becomes_a_list_with_what_stands_above_each_column() -> None:
    lines = ["| exit | means | a script can |", "| --- | --- | --- |", "| 2 | no \\| daemon | start |", "| 3 | x | |"]
    assert list(markdown.rows(lines)) == [("2", "no | daemon; a script can: start"), ("3", "x")]
