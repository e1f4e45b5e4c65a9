"""What is asked once more of a daemon that hung up, and what is said of one of another version."""

import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aixtiv import failures
from aixtiv.client import Client
from aixtiv.commands.options import Asking
from aixtiv.relayed import Body
from aixtiv_protocol import VERSION, codec, replies, requests
from aixtiv_protocol.secret import Secret
from peers.machine import Machine
from peers.scripted import ScriptedDaemon

ELSEWHERE = "there a reset does not say that nothing was read"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason=ELSEWHERE)

TOKEN = replies.AccessToken(account="x", access_token=Secret("made-up"))
ANSWERS: dict[type[requests.Request], replies.Reply] = {
    requests.Token: TOKEN,
    requests.Hello: replies.Welcome(version=VERSION, protocol=1, ops=()),
    requests.Logout: replies.LoggedOut(account="x"),
    requests.Stop: replies.Done(),
    requests.Relay: replies.Head(status=204),
}


def closing(path: Path, *ends: str) -> threading.Thread:
    """A daemon that ends its first conversations, each in one way, and answers in the next.

    `unread`: without having read what was asked; `read`: after it; `busy`: it says that it does not begin with it.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen()

    def serve() -> None:
        busy = replies.Failure(code="busy", message="the daemon is ending", retry=True)
        with listener:
            for end in (*ends, "answer"):
                caller, _ = listener.accept()
                with caller:
                    if end == "unread":
                        select.select([caller], [], [], 10)
                        continue
                    heard = caller.recv(65536)
                    if end in {"answer", "busy"}:
                        reply = busy if end == "busy" else ANSWERS[type(codec.decode_request(heard[4:], "frames"))]
                        caller.sendall(codec.encode_reply(reply, "frames"))
                        caller.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


ASKS: list[tuple[str, Callable[[Client], object], bool]] = [
    ("token", lambda client: client.token("x"), True),
    ("hello", lambda client: client.hello(), True),
    ("logout", lambda client: client.logout("x"), False),
    ("stop", lambda client: client.stop(), False),
]


@pytest.mark.parametrize(("name", "ask", "harmless"), ASKS, ids=[ask[0] for ask in ASKS])
@pytest.mark.parametrize("end", ["unread", "read", "busy"])
def test_what_was_not_heard_is_asked_once_more_and_what_may_have_been_only_if_it_changes_nothing(
    folder: Path, end: str, name: str, ask: Callable[[Client], object], harmless: bool
) -> None:
    if end == "unread" and sys.platform != "linux":
        pytest.skip(ELSEWHERE)
    path = folder / "aixtiv/aixtiv.sock"
    daemon = closing(path, end)
    with Client(str(path)) as client:
        if harmless or end != "read":
            ask(client)
        else:
            with pytest.raises(failures.HungUp) as caught:
                ask(client)
            assert not isinstance(caught.value, failures.NotHeard)
            client.hello()
    daemon.join(10)
    assert not daemon.is_alive()


@pytest.mark.parametrize("end", ["unread", "read", "busy"])
def test_it_is_asked_once_more_and_not_for_ever(folder: Path, end: str) -> None:
    path = folder / "aixtiv/aixtiv.sock"
    daemon = closing(path, end, end)
    with Client(str(path)) as client:
        with pytest.raises(failures.AixtivError):
            client.token("x")
        client.hello()
    daemon.join(10)


@LINUX
@pytest.mark.parametrize("body", [None, b"all in one message"])
def test_a_call_that_was_not_heard_is_made_once_more(folder: Path, body: bytes | None) -> None:
    path = folder / "aixtiv/aixtiv.sock"
    daemon = closing(path, "unread")
    with Client(str(path)) as client, client.relay("/v1/messages", method="POST", body=body) as answer:
        assert answer.status == 204
    daemon.join(10)


@LINUX
@pytest.mark.parametrize("body", [iter([b"one", b"two"]), b"x" * (requests.PIECE + 1)], ids=["in pieces", "large"])
def test_a_call_of_which_a_part_may_have_been_heard_is_not(folder: Path, body: Body) -> None:
    path = folder / "aixtiv/aixtiv.sock"
    daemon = closing(path, "unread")
    with Client(str(path)) as client:
        with pytest.raises(failures.NotHeard):
            client.relay("/v1/messages", method="POST", body=body)
        client.hello()
    daemon.join(10)


def test_who_is_full_is_believed(folder: Path) -> None:
    """A daemon that says when to come again means it."""
    full = replies.Failure(code="busy", message="as many callers as it takes", retry=True, retry_after=1.0)
    with ScriptedDaemon(folder, lambda request: (full,)) as daemon, Client(str(daemon.path)) as client:
        with pytest.raises(failures.AixtivError):
            client.token("x")
        assert len(daemon.asked) == 1


def asked_of(folder: Path, version: str, *ops: str, times: int = 1) -> list[requests.Request]:
    """What a daemon of that version hears of a command that asks for a token."""
    with ScriptedDaemon(folder, lambda request: (TOKEN,), version, ops) as daemon:
        with Asking(no_start=True, path=str(daemon.path)) as client:
            for _ in range(times):
                client.token("x")
        assert daemon.callers == 1
        return daemon.asked


@pytest.mark.parametrize(
    ("version", "ops", "hint"),
    [
        ("0.0.1", (), "aixtiv stop"),
        ("0.0.1", ("hello", "restart"), "aixtiv service restart"),
        ("999.0", ("hello", "restart"), "type -a aixtiv"),
        ("what", ("hello", "restart"), "aixtiv service restart"),
    ],
)
def test_a_daemon_of_another_version_is_told_once_with_the_way_out(
    folder: Path, version: str, ops: tuple[str, ...], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = asked_of(folder, version, *ops, times=3)
    assert [type(request) for request in asked] == [requests.Token] * 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"aixtiv: the daemon is {version}, and this command {VERSION}\naixtiv: hint: {hint}\n"


HEAD = replies.Head(status=204)


@pytest.mark.parametrize(
    ("ask", "answers"),
    [
        (
            lambda client: list(client.login("x")),
            (
                replies.SignedIn(account=replies.Account(name="x", provider="x", kind="oauth", state="fresh")),
                replies.End(),
            ),
        ),
        (lambda client: list(client.audit()), (replies.End(),)),
        (lambda client: list(client.watch()), (replies.End(),)),
        (lambda client: client.relay("/v1/models").read(), (HEAD, replies.End())),
        (
            lambda client: client.relay("/v1/x", method="POST", body=iter([b"one", b"two"])).read(),
            (HEAD, replies.End()),
        ),
    ],
    ids=["login", "audit", "watch", "relay", "relay a body"],
)
def test_that_is_told_by_what_streams_and_relays_too(
    folder: Path,
    ask: Callable[[Client], object],
    answers: tuple[replies.Reply, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def script(request: requests.Request) -> tuple[replies.Reply, ...]:
        return () if isinstance(request, requests.Piece) else answers

    with ScriptedDaemon(folder, script, "0.0.1") as daemon:
        with Asking(no_start=True, path=str(daemon.path)) as client:
            ask(client)
        assert daemon.callers == 1
    err = capsys.readouterr().err
    assert err == f"aixtiv: the daemon is 0.0.1, and this command {VERSION}\naixtiv: hint: aixtiv stop\n"


def test_of_the_same_version_nothing_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked_of(folder, VERSION)
    assert capsys.readouterr().err == ""


def test_the_library_says_nothing_and_greets_nobody(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedDaemon(folder, lambda request: (TOKEN,), "0.0.1") as daemon, Client(str(daemon.path)) as client:
        client.token("x")
        assert [type(request) for request in daemon.asked] == [requests.Token]
    assert capsys.readouterr().err == ""


def test_a_daemon_with_one_thing_to_say_is_understood(folder: Path) -> None:
    """One that is full answers no hello either, and hangs up."""
    full = replies.Failure(code="busy", message="as many callers as it takes", retry=True, retry_after=1.0)
    path = folder / "aixtiv/aixtiv.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(codec.encode_reply(full, "frames"))

        daemon = threading.Thread(target=serve, daemon=True)
        daemon.start()
        with Asking(no_start=True, path=str(path)) as client, pytest.raises(failures.AixtivError) as caught:
            client.token("x")
        daemon.join(10)
    assert (caught.value.code, caught.value.sentence) == ("busy", "as many callers as it takes")


def test_the_fast_lane_leaves_what_was_not_begun_to_the_whole_command(folder: Path) -> None:
    ending = replies.Failure(code="busy", message="the daemon is ending", retry=True)
    said: Iterator[replies.Reply] = iter([ending, TOKEN])
    machine = Machine(folder)
    with ScriptedDaemon(machine.runtime, lambda request: (next(said),)):
        ran = machine.run("token", "x")
    assert (ran.out, ran.err, ran.code) == ("made-up\n", "", 0)
