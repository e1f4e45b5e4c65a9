"""What the beginning of a sign-in looks like: in front of a browser, over SSH, in a container, inside Windows."""

import os
import sys
import sysconfig
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from aixtiv import signin, ways
from aixtiv.qr import half_blocks
from aixtiv.surroundings import Surroundings
from aixtiv_protocol import replies, requests
from peers.scripted import Said, Script, ScriptedDaemon
from peers.terminal import Terminal

AIXTIV = f"{sysconfig.get_path('scripts')}/aixtiv"
OVER_SSH = {"SSH_CONNECTION": "198.51.100.7 50000 203.0.113.9 2222", "USER": "ada"}
URL = "https://id.example.org/authorize?state=made-up"
STARTED = replies.SignInStarted(account="work", url=URL, redirect_uri="http://127.0.0.1:4444/callback", port=4444)
CODED = replies.SignInStarted(
    account="work",
    url=URL,
    redirect_uri="http://127.0.0.1:4444/callback",
    port=4444,
    expires_in=300,
    verification_uri="https://id.example.org/device",
    verification_uri_complete="https://id.example.org/device?user_code=WDJB-MJHT",
    user_code="WDJB-MJHT",
)
ACCOUNT = replies.Account(name="work", provider="work", kind="oauth", state="fresh", who="ada@example.org")
WINDOWS = Surroundings(kind="wsl", sign="/proc/version names Microsoft", opener="/usr/bin/wslview")


def open_for_ever(started: replies.SignInStarted) -> Script:
    return lambda _: [started]


class SignIn:
    """A daemon's side of one that ends when a test says so."""

    def __init__(self, started: replies.SignInStarted) -> None:
        self._started = started
        self.over = threading.Event()

    def script(self, request: requests.Request) -> Iterable[Said]:
        yield self._started
        if not self.over.wait(20):
            raise EOFError
        yield replies.SignedIn(account=ACCOUNT)
        yield replies.End()


def terminal(folder: Path, *words: str, **environ: str) -> Terminal:
    environment = {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock"),
    }
    return Terminal([AIXTIV, *words], environment | environ, folder)


def asked(daemon: ScriptedDaemon) -> list[str]:
    return [request.device for request in daemon.asked if isinstance(request, requests.Login)]


def test_over_ssh_a_code_is_shown_with_its_picture_and_nothing_else_is_to_be_understood(folder: Path) -> None:
    sign_in = SignIn(CODED)
    with ScriptedDaemon(folder, sign_in.script) as daemon, terminal(folder, "login", "work", **OVER_SSH) as person:
        shown = person.until("aixtiv login work --no-device\n")
        assert "this is a session over SSH (SSH_CONNECTION is set): no browser is opened" in shown
        assert "\nhttps://id.example.org/device\n" in shown
        assert "\nWDJB-MJHT\n" in shown
        assert "\n".join(half_blocks(CODED.verification_uri)) in shown
        assert len(shown.splitlines()) < 24, "all of it is on the screen, with the line of the cursor"
        assert "waiting for 5 minutes" in shown
        assert "authorize?" not in shown
        assert "ssh -" not in shown
        assert max(map(len, shown.splitlines())) <= 80
        sign_in.over.set()
        person.until("signed in to work as ada@example.org")
        assert person.ended() == 0
        assert asked(daemon) == ["offered"]


@pytest.mark.parametrize(("lines", "square"), [(24, ""), (27, CODED.verification_uri_complete)])
def test_a_square_that_would_push_the_address_off_the_screen_is_left_out(folder: Path, lines: int, square: str) -> None:
    long = msgspec.structs.replace(CODED, verification_uri=f"https://id.example.org/{'device' * 8}")
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "NO_COLOR": "1", **OVER_SSH}
    environ["AIXTIV_SOCKET"] = str(folder / "aixtiv/aixtiv.sock")
    command = [AIXTIV, "login", "work"]
    with ScriptedDaemon(folder, open_for_ever(long)), Terminal(command, environ, folder, lines=lines) as person:
        shown = person.until("aixtiv login work --no-device\n")
        assert len(shown.splitlines()) < lines
        assert ("█" in shown) is bool(square)
        if square:
            assert "\n".join(half_blocks(square)) in shown
            assert "check that your phone shows the same code" in shown


def test_ctrl_c_where_a_code_was_shown_says_that_it_still_counts(folder: Path) -> None:
    sign_in = SignIn(CODED)
    with ScriptedDaemon(folder, sign_in.script), terminal(folder, "login", "work", **OVER_SSH) as person:
        person.until("aixtiv login work --no-device\n")
        person.type("\x03")
        assert person.ended() == 130
        told = " ".join(person.shown.split())
        assert "stays open for 5 minutes: entering WDJB-MJHT at https://id.example.org/device still finishes it" in told
        assert "aixtiv callback" not in told
        sign_in.over.set()


def test_without_a_code_the_ssh_line_is_shown_as_it_is_to_be_typed(folder: Path) -> None:
    with ScriptedDaemon(folder, open_for_ever(STARTED)), terminal(folder, "login", "work", **OVER_SSH) as person:
        shown = person.until("it stays hidden")
        assert "\n\nssh -p 2222 -L 4444:127.0.0.1:4444 ada@203.0.113.9\n\n" in shown
        assert f"\n\n{URL}\n\n" in shown
        assert "code to be typed" not in shown
        assert max(map(len, shown.splitlines())) <= 80


def test_why_there_is_no_code_is_said(folder: Path) -> None:
    problem = "github.com says device_flow_disabled"
    started = replies.SignInStarted(account="work", url=URL, redirect_uri="", device_problem=problem)
    with ScriptedDaemon(folder, open_for_ever(started)), terminal(folder, "login", "work", **OVER_SSH) as person:
        assert f"another machine: {problem}" in person.until("open this address in a browser").replace("\n ", "")


def test_in_front_of_a_browser_no_code_is_asked_for(folder: Path) -> None:
    with (
        ScriptedDaemon(folder, open_for_ever(STARTED)) as daemon,
        terminal(folder, "login", "work", BROWSER="/bin/true %s") as person,
    ):
        shown = person.until("it stays hidden")
        assert "opening your browser" in shown
        assert "no browser" not in shown
        assert asked(daemon) == [""]


def test_a_code_can_be_had_in_front_of_a_browser_too(folder: Path) -> None:
    with (
        ScriptedDaemon(folder, open_for_ever(CODED)) as daemon,
        terminal(folder, "login", "work", "--device", BROWSER="/bin/false %s") as person,
    ):
        shown = person.until("aixtiv login work --no-device")
        assert "WDJB-MJHT" in shown
        assert "opening" not in shown
        assert asked(daemon) == ["wanted"]


def test_a_code_can_be_left_out(folder: Path) -> None:
    with (
        ScriptedDaemon(folder, open_for_ever(CODED)) as daemon,  # it has one: somebody else asked for it
        terminal(folder, "login", "work", "--no-device", **OVER_SSH) as person,
    ):
        assert "WDJB" not in person.until("it stays hidden")
        assert asked(daemon) == [""]


@pytest.mark.parametrize("words", [("--device", "--no-device"), ("--device", "--client-credentials")])
def test_what_does_not_go_together_is_wrong_usage(folder: Path, words: tuple[str, ...]) -> None:
    with ScriptedDaemon(folder, lambda request: ()) as daemon, terminal(folder, "login", "work", *words) as person:
        assert person.ended() == 64
        assert "--device" in person.shown
        assert asked(daemon) == []


def test_who_does_not_wait_is_told_the_code_beside_the_address(folder: Path) -> None:
    with ScriptedDaemon(folder, lambda request: (CODED,)), terminal(folder, "login", "work", "-n") as person:
        assert person.ended() == 0
        assert URL in person.shown
        assert "WDJB-MJHT" in person.shown
        assert "nothing more is to be typed here" in person.shown
        assert "█" not in person.shown


def test_a_narrow_terminal_gets_the_code_without_its_picture(folder: Path) -> None:
    with (
        ScriptedDaemon(folder, open_for_ever(CODED)),
        terminal(folder, "login", "w", TERM="dumb", **OVER_SSH) as person,
    ):
        shown = person.until("--no-device")
        assert "WDJB-MJHT" in shown
        assert "█" not in shown
        assert "scan" not in shown


def test_in_a_container_nobody_is_told_to_type_an_ssh_line(capsys: pytest.CaptureFixture[str]) -> None:
    place = Surroundings(kind="container", sign="/.dockerenv is there")
    ways.announce(STARTED, place, opening=False, with_code=True, can_paste=True)
    shown = capsys.readouterr().err
    assert "this is a container (/.dockerenv is there): no browser is opened" in shown
    assert "ssh" not in shown
    assert "or paste its last address" in shown


def test_inside_windows_its_browser_is_opened_when_enter_says_so(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    told = folder / "told"
    opener = folder / "wslview"
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {told}\nexit 1\n')
    opener.chmod(0o700)
    place = Surroundings(kind="wsl", sign=WINDOWS.sign, opener=str(opener))
    ways.announce(STARTED, place, opening=False, with_code=False, can_paste=True)
    page = signin.Page(URL, place)
    page.look()
    assert not told.exists()
    page.entered()
    child = page._child
    assert child
    child.wait(20)
    page.look()
    assert told.read_text() == URL
    shown = capsys.readouterr().err
    assert "open this address in a browser of Windows (wslview)" in shown
    assert "press Enter to open it there" in shown
    assert "no browser could be opened" not in shown  # explorer.exe ends with 1 whatever it did


def test_an_empty_line_opens_nothing_where_nothing_was_offered() -> None:
    page = signin.Page(URL, Surroundings(kind="ssh", sign="SSH_TTY is set"))
    page.entered()
    assert not page.opening


AS_IF: Final = """
import sys
from aixtiv import surroundings
surroundings.here = lambda: surroundings.Surroundings(kind="wsl", sign="/proc/version names Microsoft", opener={!r})
from aixtiv.entry import main
sys.argv[0] = "aixtiv"
sys.exit(main())
"""


def test_enter_is_typed_in_a_terminal_inside_windows(folder: Path) -> None:
    told = folder / "told"
    os.mkfifo(told)
    opener = folder / "wslview"
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {told}\n')
    opener.chmod(0o700)
    sign_in = SignIn(STARTED)
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock")}
    command = [sys.executable, "-c", AS_IF.format(str(opener)), "login", "work"]
    with ScriptedDaemon(folder, sign_in.script) as daemon, Terminal(command, environ, folder) as person:
        shown = person.until("it stays hidden)")
        assert "press Enter to open it there" in shown
        assert max(map(len, shown.splitlines())) <= 80
        person.type("\n")
        assert told.read_text() == URL
        person.until("opening the browser of Windows")
        sign_in.over.set()
        person.until("signed in to work")
        assert asked(daemon) == [""]
