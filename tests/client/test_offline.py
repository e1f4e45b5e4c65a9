"""The offline template: marked, harmless to run, and whatever the task says it stays a comment."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv.offline import FORMS, MARK, language, template

NASTY = "end it */ --> ?> \"quotes' `$(touch /tmp/x)` \\\nimport os; {}\n\x1b[31m ${x} */\\"


@pytest.mark.parametrize("name", [*FORMS, "cobol"])
def test_every_template_says_in_its_first_lines_what_it_is(name: str) -> None:
    text = template("sort a list", name, "no network")
    assert MARK in "\n".join(text.splitlines()[:2])
    assert "Why: no network" in text
    assert "sort a list" in text
    assert text.endswith("\n")


@pytest.mark.parametrize("name", FORMS)
def test_whatever_the_task_says_every_line_of_it_stays_in_a_comment(name: str) -> None:
    form = FORMS[name]
    plain = template("x", name, "y").removeprefix(form.first).partition("\n\n")[2]
    lines = template(NASTY, name, NASTY.replace("\n", " ")).removeprefix(form.first).partition("\n\n")[0].splitlines()
    mark, close = form.comment.strip(), form.close.strip()
    assert plain or name == "sql"
    for line in lines:
        assert line.startswith(mark)
        assert "?>" not in line
        assert not line.endswith("\\")
        if close:
            assert line.count(close) == 1
            assert line.endswith(close)


@pytest.mark.parametrize(
    ("name", "begins", "ends"),
    [
        ("cobol", "*> ", ""),
        ("haskell", "-- ", ""),
        ("fortran", "! ", ""),
        ("latex", "% ", ""),
        ("lisp", "; ", ""),
        ("scala", "// ", ""),
        ("xml", "<!-- ", " -->"),
        ("ocaml", "(* ", " *)"),
        ("perl", "# ", ""),
        ("whatever", "# ", ""),
    ],
)
def test_a_language_of_which_only_the_comment_is_known_gets_that(name: str, begins: str, ends: str) -> None:
    for line in template(NASTY, name, "x").splitlines():
        assert line.startswith(begins.strip())
        assert line.endswith(ends.strip())
        assert not ends or line.count(ends.strip()) == line.count(begins.strip()) == 1


def test_the_name_of_a_file_says_the_language_where_only_the_comment_is_known() -> None:
    assert language("", "payroll.cbl") == "cobol"


@given(st.text())
def test_a_python_template_compiles_and_fails_when_it_is_run(task: str) -> None:
    with pytest.raises(NotImplementedError, match="not written yet"):
        exec(compile(template(task, "python", task), "x.py", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("name", ["shell", "bash"])
def test_a_shell_template_does_nothing_but_fail(name: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        ["sh" if name == "shell" else "bash", "-c", template(NASTY, name, "x")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("not written yet: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("typed", "output", "expected"),
    [
        ("", "", "python"),
        ("", "a/b.ts", "typescript"),
        ("", "a/b.CPP", "c++"),
        ("", "a/b", "python"),
        ("JS", "a.py", "javascript"),
        ("golang", "", "go"),
        ("COBOL", "", "cobol"),
    ],
)
def test_the_language_is_the_typed_one_else_that_of_the_file(typed: str, output: str, expected: str) -> None:
    assert language(typed, output) == expected


def test_the_fast_interpreters_take_their_templates(tmp_path: Path) -> None:
    """Those of the machine at hand: Python always, Node where it is."""
    ran = subprocess.run(
        [sys.executable, "-c", template(NASTY, "python", "x")], capture_output=True, text=True, check=False
    )
    assert "NotImplementedError" in ran.stderr
    assert json.dumps(ran.stdout) == '""'
