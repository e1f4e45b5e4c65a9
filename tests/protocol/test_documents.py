"""What the documents say exists: links lead somewhere, commands and their options are there, examples run."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aixtiv.commands import COMMANDS, OLD, aixtiv
from aixtiv.failures import INTERRUPTED, AixtivError
from peers.presence import command
from protocol.specification import rows
from protocol.typed import named_wrongly

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "protocol" / "README.md"], key=lambda path: path.name
)
README = (ROOT / "README.md").read_text(encoding="utf-8")

_FENCED = re.compile(r"^ *(?:\d+\. )?```.*?^ *```$", re.MULTILINE | re.DOTALL)  # also inside a list


def anchors(document: Path) -> set[str]:
    """As GitHub makes them of headings; a repeated one has a number behind it."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", _FENCED.sub("", document.read_text(encoding="utf-8")), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        to = document.parent / path if path else document
        assert to.exists(), target
        assert not anchor or anchor in anchors(to), target


def commands_in(text: str) -> set[str]:
    """Every `aixtiv …` in code: in back quotes, and at the beginning of a line or after `$(` in a block."""
    inline = re.findall(r"(?<!`)`(aixtiv [^`]+)`(?!`)", _FENCED.sub("", text))
    blocks = "\n".join(_FENCED.findall(text)).replace("\\\n", " ")
    typed = re.findall(r"(?:^|^\$ |^ +\$ |\$\()(aixtiv [^)#\n]+)", blocks, re.MULTILINE)
    said = (one.strip() for one in (*inline, *typed) if "COMMAND" not in one)
    return {alternative for one in said for alternative in _alternatives(one)}


def _alternatives(line: str) -> list[str]:
    r"""In a table, `set\|remove` is one or the other."""
    either = re.search(r"(\S+)\\\|(\S+)", line)
    return [line.replace(either[0], word) for word in either.groups()] if either else [line]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_that_is_named_exists(document: Path) -> None:
    wrong = [named_wrongly(line) for line in commands_in(document.read_text(encoding="utf-8"))]
    assert not any(wrong), wrong


@pytest.mark.parametrize("name", [name for section in COMMANDS.values() for name in section] + [*OLD])
def test_every_command_is_in_the_readme_and_explains_itself(name: str) -> None:
    assert f"aixtiv {name}" in README or f"`{name}`" in README
    shown = CliRunner().invoke(aixtiv, [name, "--help"])
    assert shown.exit_code == 0
    assert "Usage: " in shown.output


def exit_statuses(kind: type[AixtivError]) -> set[int]:
    return {kind.exit_status}.union(*(exit_statuses(below) for below in kind.__subclasses__()))


def test_the_readme_lists_every_exit_code() -> None:
    listed = {int(code) for row in rows(README.partition("\n## Exit codes\n")[2], "code") for code in row[0].split(",")}
    assert listed == {0, INTERRUPTED} | exit_statuses(AixtivError)


def test_the_readmes_way_without_the_command_gets_a_token(daemon: Path) -> None:
    (script,) = re.findall(r"^```bash\n(.*nc .*)\n```$", README, re.MULTILINE)
    netcat = Path(command("nc", package="netcat-openbsd"))
    environ = {"PATH": f"{netcat.parent}:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(daemon.parents[1])}
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("gho_16C7e42F\n", "")


def test_the_readmes_python_gets_a_token(daemon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = re.findall(r"^```python\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("AIXTIV_SOCKET", str(daemon))
    names: dict[str, Any] = {}
    exec(source, names)
    assert names["token"] == "gho_16C7e42F"


def test_every_test_and_file_that_the_security_promises_name_exists() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    tests = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", text))
    assert named <= tests, named - tests
    for path in re.findall(r"`([\w/]+(?:\.py|/))`", text):
        assert (ROOT / path).exists() or (ROOT / "daemon" / "aixtivd" / path).exists(), path


def test_the_security_promises_are_numbered_lines_without_a_gap() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_architecture_names_every_module_of_the_daemon_and_no_other() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = text.partition("\n## The rooms of the daemon\n")[2].partition("\n## ")[0]
    table = "\n".join(re.findall(r"^\| .*\|$", rooms, re.MULTILINE))
    named = {name.removesuffix(".py").rstrip("/") for name in re.findall(r"`([\w/.]+)`", table)}
    daemon = ROOT / "daemon" / "aixtivd"
    modules = [path for path in daemon.rglob("*.py") if path.stem != "__init__"]
    listed_one_by_one = {path.stem for path in modules if path.parent.name not in {"providers", "keys", "apis"}}
    folders = {path.parent.name for path in daemon.rglob("__init__.py")} - {"aixtivd"}
    assert named == listed_one_by_one | folders
