"""A QR code of half blocks: every module where it belongs, and none shown that is not whole."""

import io
import os
import shutil

import pytest
import segno

from aixtiv import qr

LONG = "https://login.example.org/oauth2/device?user_code=WDJB-MJHT"
UPPER, LOWER = "▀█", "▄█"  # the halves that are light


class Screen(io.StringIO):
    """A terminal of that encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has it writable, where a stream's is not
        return self._encoding

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    sized(monkeypatch, 80, 24)


def sized(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((columns, lines)))


@pytest.mark.parametrize("text", ["https://github.com/login/device", LONG, LONG * 3])
def test_each_module_is_half_a_character(text: str) -> None:
    code = segno.make(text, micro=False, error="l")
    lines = qr.half_blocks(text)
    expected = [[not module for module in row] for row in code.matrix_iter(border=2)]
    shown = [[letter in half for letter in line] for line in lines for half in (UPPER, LOWER)]
    assert shown[: len(expected)] == expected
    assert all(all(row) for row in shown[len(expected) :])  # an odd last row is filled up with light
    assert {len(line) for line in lines} == {len(expected[0])}


def test_a_code_with_its_address_fits_a_terminal_of_eighty_by_twenty_four() -> None:
    lines = qr.drawn(LONG, Screen(), beside=5).splitlines()
    assert len(lines) <= 19
    assert max(map(len, lines)) <= 80


def test_what_would_not_be_seen_whole_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    sized(monkeypatch, 80, 20)
    assert qr.drawn(LONG, Screen(), beside=5) == ""
    sized(monkeypatch, 36, 60)
    assert qr.drawn(LONG, Screen()) == ""
    sized(monkeypatch, 37, 60)
    assert qr.drawn(LONG, Screen()) != ""


def test_nothing_is_drawn_but_on_a_terminal_that_has_the_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert qr.drawn(LONG, io.StringIO()) == ""
    assert qr.drawn(LONG, Screen("ascii")) == ""
    assert qr.drawn(LONG, Screen("latin-1")) == ""
    monkeypatch.setenv("TERM", "dumb")
    assert qr.drawn(LONG, Screen()) == ""
