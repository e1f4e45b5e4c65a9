"""`aixtiv status --watch` in a real terminal: it goes with what happens, across a restart, and leaves quietly."""

import signal
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from aixtiv import lookout
from aixtiv.glance import Seen
from aixtiv_protocol import replies, requests
from peers.commanded import AIXTIV, run, saying, telling
from peers.scripted import Said, Script, ScriptedDaemon
from peers.terminal import Terminal

ACCOUNT = replies.Account(name="work", provider="work", kind="oauth", state="fresh")
STATUS = replies.DaemonStatus(version="1.0.0", pid=7, started_at=1, locked=False, accounts=(ACCOUNT,))
LATER = replace(STATUS, accounts=(replace(ACCOUNT, state="quarantined", hint="aixtiv login work"),))
OVER = replies.Event(event="sign-in-needed", at=1.0, account="work")


def watching(folder: Path, *words: str, **environ: str) -> Terminal:
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock")}
    return Terminal([AIXTIV, "status", "--watch", *words], environment | environ, folder)


def quiet(status: replies.DaemonStatus) -> Script:
    """A daemon that is so, and where nothing happens."""
    return lambda request: () if isinstance(request, requests.Watch) else (status,)


def test_it_is_drawn_on_a_screen_of_its_own_and_ctrl_c_gives_back_the_terminals(folder: Path) -> None:
    with ScriptedDaemon(folder, quiet(STATUS)), watching(folder) as person:
        assert "\x1b[?1049h" in person.until("fresh")
        person.type("\x03")
        assert person.ended() == 130
        assert "\x1b[?1049l" in person.shown
        assert "Traceback" not in person.shown


def test_whoever_ends_it_gets_the_terminal_back_too(folder: Path) -> None:
    with ScriptedDaemon(folder, quiet(STATUS)), watching(folder) as person:
        person.until("fresh")
        person._process.send_signal(signal.SIGTERM)
        assert person.ended() == 128 + signal.SIGTERM
        assert "\x1b[?1049l" in person.shown


def test_a_daemon_that_ends_is_waited_for_and_not_started(folder: Path) -> None:
    with watching(folder) as person:
        with ScriptedDaemon(folder, quiet(STATUS)) as daemon:
            person.until("1.0.0")
        person.until("the daemon is not running; this is how it was at")
        assert not daemon.path.exists()
        with ScriptedDaemon(folder, quiet(replace(STATUS, version="2.0.0"))):
            person.until("2.0.0")
            assert "this is how it was" not in person.until("fresh")


def test_an_event_is_followed_by_a_look_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only by the next of the looks that come every few seconds: here none does."""
    monkeypatch.setattr(lookout, "_ASK", 1e9)
    happened = threading.Event()

    def script(request: requests.Request) -> Iterable[Said]:
        if isinstance(request, requests.Watch):
            happened.set()
            yield OVER
        else:
            assert happened.is_set()
            yield LATER

    with ScriptedDaemon(folder, script) as daemon:
        monkeypatch.setenv("AIXTIV_SOCKET", str(daemon.path))
        looks = lookout._looks(Seen(STATUS))
        assert [next(looks).daemon, next(looks).daemon] == [STATUS, LATER]
        looks.close()


def test_what_is_no_event_is_seen_after_a_while(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "_ASK", 0.0)
    monkeypatch.setattr(lookout, "_FRAME", 0.01)
    with ScriptedDaemon(folder, quiet(LATER)) as daemon:
        monkeypatch.setenv("AIXTIV_SOCKET", str(daemon.path))
        looks = lookout._looks(Seen(STATUS))
        assert [next(looks).daemon, next(looks).daemon] == [STATUS, LATER]
        looks.close()


def test_without_events_it_goes_on_looking(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a locked vault none are told, and a rule may forbid them."""
    monkeypatch.setattr(lookout, "_FRAME", 0.01)
    locked = replies.Failure(code="locked", message="the vault is locked")
    script: Script = lambda request: (locked if isinstance(request, requests.Watch) else LATER,)  # noqa: E731  # one line
    with ScriptedDaemon(folder, script) as daemon:
        monkeypatch.setenv("AIXTIV_SOCKET", str(daemon.path))
        looks = lookout._looks(Seen(STATUS))
        assert [next(looks).daemon, next(looks).daemon] == [STATUS, LATER]
        looks.close()


def test_whoever_needs_a_person_comes_first_since_the_screen_may_end(folder: Path) -> None:
    accounts = tuple(replace(ACCOUNT, name=f"a{number:02}") for number in range(60))
    worst = replace(ACCOUNT, name="z", state="quarantined")
    with ScriptedDaemon(folder, quiet(replace(STATUS, accounts=(*accounts, worst)))), watching(folder) as person:
        shown = person.until("a00")
        assert "61: " in shown
        assert shown.index("quarantined", shown.index("quarantined") + 1) < shown.index("a00")


@pytest.mark.parametrize(
    ("words", "hint"), [((), "aixtiv watch"), (("--json",), "aixtiv watch --json"), (("-v",), "aixtiv watch")]
)
def test_it_is_for_a_person_before_a_terminal(folder: Path, words: tuple[str, ...], hint: str) -> None:
    with ScriptedDaemon(folder, telling(STATUS)) as daemon:
        ran = run(folder, "status", "--watch", *words)
    assert (ran.returncode, ran.stdout, daemon.asked) == (64, "", [])
    assert ran.stderr.endswith(f"\naixtiv: hint: {hint}\n")


def test_a_terminal_that_cannot_be_drawn_over_is_refused(folder: Path) -> None:
    with ScriptedDaemon(folder, saying(STATUS)), watching(folder, TERM="dumb") as person:
        person.until("--watch needs a terminal that can be drawn over")
        assert person.ended() == 64
        assert "\x1b" not in person.shown


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_shown_once_without_colours_there_is_nothing_but_text(folder: Path, environ: dict[str, str]) -> None:
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock")}
    with (
        ScriptedDaemon(folder, quiet(LATER)),
        Terminal([AIXTIV, "status"], environment | environ, folder) as person,
    ):
        told = person.until("hint: aixtiv login work")
        assert person.ended() == 0
        assert "\x1b" not in told + person.shown


def test_without_colours_it_is_drawn_in_none(folder: Path) -> None:
    with ScriptedDaemon(folder, quiet(STATUS)), watching(folder, NO_COLOR="1") as person:
        assert "\x1b[3" not in person.until("fresh")
