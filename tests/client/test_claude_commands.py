"""What of the `claude` commands needs no daemon and no Claude: time limits, and stdin. The rest is in tests/e2e."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from aixtiv.command import run
from aixtiv.commands import calling, claude_code
from aixtiv.offline import MARK
from aixtiv_protocol.replies import End, Head, Piece
from aixtiv_protocol.requests import Relay, Request
from peers.scripted import Said, ScriptedDaemon


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterable[int]:
    """The writing end of a pipe that is this process's stdin."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as file, os.fdopen(writer, "w") as end:
        monkeypatch.setattr("sys.stdin", file)
        yield end.fileno()


def at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIXTIV_SOCKET", str(folder / "aixtiv/aixtiv.sock"))
    monkeypatch.setenv("AIXTIV_NO_START", "1")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr(calling, "PATIENCE", 0.01)
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("said", [(), (Head(status=200, headers=(("content-type", "text/event-stream"),)),)])
def test_who_does_not_begin_to_answer_in_time_is_not_waited_for(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stdin: int,
    said: tuple[Said, ...],
) -> None:
    """Whether the daemon is silent or the API, and before its head or behind it."""
    at(folder, monkeypatch)
    monkeypatch.setattr(claude_code, "FIRST_BYTE", 0.05)
    monkeypatch.setattr(calling, "_piped", lambda: "")
    with ScriptedDaemon(folder, lambda request: said) as daemon:
        assert run(["claude", "code", "generate", "sort"]) == 5
    out, err = capsys.readouterr()
    assert MARK in out
    assert "did not begin to answer" in err
    assert isinstance(daemon.asked[0], Relay)
    assert daemon.asked[0].wait == 0.05


def test_a_stdin_that_was_left_open_is_said_to_be_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stdin: int
) -> None:
    at(folder, monkeypatch)
    monkeypatch.setattr(calling, "_piped", lambda: "")  # it would wait for ever

    def script(request: Request) -> Iterable[Said]:
        yield Head(status=200, headers=(("content-type", "application/json"),))
        yield Piece(data=b'{"content": [{"type": "text", "text": "Hi"}]}')
        yield End()

    with ScriptedDaemon(folder, script):
        assert run(["claude", "ask", "hello"]) == 0
    out, err = capsys.readouterr()
    assert out == "Hi\n"
    assert err == "aixtiv: waiting for the end of stdin; if nothing comes from there, add < /dev/null\n"
