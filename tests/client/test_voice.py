"""What a terminal of eighty columns is told: broken between words, and a command still one for the shell."""

import contextlib
import io
import os
import shlex
import shutil

import pytest

from aixtiv import show


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    monkeypatch.setenv("NO_COLOR", "1")


def hinted(command: str) -> str:
    with contextlib.redirect_stderr(Screen()) as screen:
        show.hint(command)
    return screen.getvalue()


@pytest.mark.parametrize(
    "command",
    [
        "aixtiv login company --issuer https://sso.example.org:8443/realms/main --client-id native --replace",
        f"aixtiv login robot --command '{'two words ' * 9}' --issuer https://id.example.org --scope 'a b' --device",
        f"$EDITOR {'/very/long/folder' * 6}/.aixtiv.toml",
    ],
)
def test_a_hint_too_long_for_a_line_is_still_one_command(command: str) -> None:
    said = hinted(command).removeprefix("aixtiv: hint: ")
    assert shlex.split(said.replace("\\\n", "")) == shlex.split(command)
    longest = max(map(len, shlex.split(command))) + 8
    assert all(len(line) <= max(80, longest) for line in hinted(command).splitlines())


def test_a_hint_that_fits_stays_as_it_is() -> None:
    assert hinted("aixtiv login work --no-device") == "aixtiv: hint: aixtiv login work --no-device\n"


def test_a_question_leaves_room_for_what_is_typed_behind_it() -> None:
    with contextlib.redirect_stderr(Screen()):
        asked = show.question(f"{'abcd ' * 14}efgh?")
    assert [len(line) for line in f"{asked} [y/N]: ".splitlines()] == [69, 15]
