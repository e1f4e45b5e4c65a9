"""One relayed call as the client library has it: what goes out in which messages, and each way in which it can end."""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aixtiv.client import Client
from aixtiv.failures import AixtivError, NoDaemon, NotUnderstood, SignInNeeded, Unreachable
from aixtiv_protocol.replies import Done, End, Failure, Head, Piece
from aixtiv_protocol.requests import PIECE, Relay, Request
from aixtiv_protocol.requests import Piece as More
from aixtiv_protocol.secret import Secret
from peers.scripted import Said, ScriptedDaemon

HEAD = Head(status=200, headers=(("x", "y"),), account="a", kind="oauth", note="why")


def ends(request: Request) -> bool:
    """Whether this was the last of the body."""
    assert isinstance(request, Relay | More)
    return not request.more


def answering(*said: Said) -> Callable[[Request], Iterable[Said]]:
    return lambda request: said if ends(request) else ()


def sent(daemon: ScriptedDaemon) -> list[bytes]:
    return [
        asked.body if isinstance(asked, Relay) else asked.data
        for asked in daemon.asked
        if isinstance(asked, Relay | More)
    ]


@pytest.fixture
def call(folder: Path) -> Any:
    def calling(script: Callable[[Request], Iterable[Said]], **asked: Any) -> tuple[bytes, ScriptedDaemon]:
        with (
            ScriptedDaemon(folder, script) as daemon,
            Client(str(daemon.path)) as client,
            client.relay("/v1/x", **asked) as relayed,
        ):
            return relayed.read(), daemon

    return calling


def test_the_answers_head_pieces_and_trailers(folder: Path) -> None:
    script = answering(HEAD, Piece(data=b"one"), Piece(data=b"two"), End(trailers=(("t", "1"),)))
    with ScriptedDaemon(folder, script) as daemon, Client(str(daemon.path), agent="a7") as client:
        asked: Any = {"method": "PUT", "account": "b", "endpoint": "e", "fallback": "none", "headers": (("h", "v"),)}
        with client.relay("/v1/x?y", api_key="k", wait=7.0, **asked) as relayed:
            assert (relayed.status, relayed.headers, relayed.account) == (200, (("x", "y"),), "a")
            assert (relayed.kind, relayed.note) == ("oauth", "why")
            assert list(relayed) == [b"one", b"two"]
            assert relayed.trailers == (("t", "1"),)
            assert list(relayed) == []
    assert daemon.asked == [Relay(path="/v1/x?y", api_key=Secret("k"), wait=7.0, agent="a7", **asked)]


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_body_of_any_size_comes_whole_and_its_length_is_said(call: Any, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    _, daemon = call(answering(HEAD, End()), body=body)
    assert b"".join(sent(daemon)) == body
    assert max(map(len, sent(daemon))) <= PIECE
    assert [len(piece) for piece in sent(daemon)[:-1]] == [PIECE] * (len(sent(daemon)) - 1)
    assert daemon.asked[0].headers == ((("content-length", str(size)),) if size else ())


def test_a_length_that_was_given_stands(call: Any) -> None:
    _, daemon = call(answering(HEAD, End()), body=b"abc", headers=(("Content-Length", "3"),))
    assert daemon.asked[0].headers == (("Content-Length", "3"),)


def test_a_file_is_sent_from_where_it_stands_with_its_length(call: Any, folder: Path) -> None:
    path = folder / "body"
    path.write_bytes(b"x" * (2 * PIECE + 10))
    with path.open("rb") as file:
        file.seek(10)
        _, daemon = call(answering(HEAD, End()), body=file)
    assert sum(map(len, sent(daemon))) == 2 * PIECE
    assert daemon.asked[0].headers == (("content-length", str(2 * PIECE)),)


def test_what_has_no_length_is_sent_without_one(call: Any) -> None:
    def parts() -> Iterator[bytes]:
        yield b"a" * (PIECE + 1)
        yield b""
        yield b"b"

    _, daemon = call(answering(HEAD, End()), body=parts())
    assert sent(daemon) == [b"a" * PIECE, b"a", b"b"]
    assert daemon.asked[0].headers == ()
    _, daemon = call(answering(HEAD, End()), body=io.BytesIO(b"c" * (PIECE + 1)))
    assert sum(map(len, sent(daemon))) == PIECE + 1


def test_an_answer_that_comes_before_the_body_has_gone_is_the_answer(folder: Path) -> None:
    """A 413: nothing more is read of the body."""
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * PIECE

    def script(request: Request) -> Iterable[Said]:
        return (Head(status=413), Piece(data=b"too large"), End()) if isinstance(request, Relay) else ()

    with (
        ScriptedDaemon(folder, script) as daemon,
        Client(str(daemon.path)) as client,
        client.relay("/v1/x", method="POST", body=endless()) as relayed,
    ):
        assert (relayed.status, relayed.read()) == (413, b"too large")
    assert read < 10_000


def test_a_body_goes_on_while_the_answer_is_read(folder: Path) -> None:
    """This API answers each piece before it takes the next: who only sends first, or only reads, waits for ever."""
    body = bytes(range(256)) * 80_000

    def script(request: Request) -> Iterable[Said]:
        if isinstance(request, Relay):
            yield HEAD
        yield Piece(data=request.body if isinstance(request, Relay) else request.data)  # type: ignore[union-attr]  # a More
        if ends(request):
            yield End()

    with (
        ScriptedDaemon(folder, script) as daemon,
        Client(str(daemon.path)) as client,
        client.relay("/v1/x", method="POST", body=body) as relayed,
    ):
        assert relayed.read() == body


def test_a_body_that_breaks_off_ends_the_call_and_is_never_whole(folder: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * PIECE
        yield b"x" * PIECE
        raise ValueError("the disk is gone")

    with ScriptedDaemon(folder, answering(HEAD, End())) as daemon, Client(str(daemon.path)) as client:
        with pytest.raises(ValueError, match="the disk is gone"):
            client.relay("/v1/x", method="POST", body=broken())
        assert not [asked for asked in daemon.asked if ends(asked)]


def test_what_the_daemon_says_last_is_heard_although_it_takes_no_more(folder: Path) -> None:
    def script(request: Request) -> Iterable[Said]:
        yield Failure(code="busy", message="the daemon is stopping")
        raise EOFError

    with (
        ScriptedDaemon(folder, script) as daemon,
        Client(str(daemon.path)) as client,
        pytest.raises(AixtivError, match="the daemon is stopping"),
    ):
        client.relay("/v1/x", method="POST", body=b"x" * 30_000_000)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Failure(code="sign_in_needed", message="no"), SignInNeeded),
        (Failure(code="unreachable", message="no"), Unreachable),
        (Done(), NotUnderstood),
        (End(), NotUnderstood),
    ],
)
def test_a_failure_in_the_heads_place_is_raised(call: Any, reply: Said, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call(answering(reply))


def test_a_failure_after_the_head_is_never_a_whole_answer(folder: Path) -> None:
    script = answering(HEAD, Piece(data=b"one"), Failure(code="unreachable", message="broke off"))
    with ScriptedDaemon(folder, script) as daemon, Client(str(daemon.path)) as client:
        relayed = client.relay("/v1/x")
        assert next(relayed) == b"one"
        with pytest.raises(Unreachable, match="broke off"):
            next(relayed)


def test_a_daemon_that_dies_in_the_middle_is_no_end(folder: Path) -> None:
    def script(request: Request) -> Iterable[Said]:
        yield HEAD
        yield Piece(data=b"one")
        raise EOFError

    with (
        ScriptedDaemon(folder, script) as daemon,
        Client(str(daemon.path)) as client,
        client.relay("/v1/x") as relayed,
        pytest.raises(NoDaemon, match="the daemon ended in the middle of the answer"),
    ):
        relayed.read()


@pytest.mark.parametrize("said", [(), (HEAD,)])
def test_the_first_byte_has_a_limit_of_its_own(call: Any, said: tuple[Said, ...]) -> None:
    with pytest.raises(Unreachable, match="did not begin to answer"):
        call(answering(*said), first_byte=0.05)


def test_once_it_has_begun_it_may_take_its_time(folder: Path) -> None:
    script = answering(HEAD, Piece(data=b"one"))
    with (
        ScriptedDaemon(folder, script) as daemon,
        Client(str(daemon.path)) as client,
        client.relay("/v1/x", first_byte=5.0) as relayed,
    ):
        assert next(relayed) == b"one"
        assert relayed._until is None


def test_other_questions_do_not_wait_for_it(folder: Path) -> None:
    def script(request: Request) -> Iterable[Said]:
        return (HEAD,) if isinstance(request, Relay) else (Done(),)

    with ScriptedDaemon(folder, script) as daemon, Client(str(daemon.path)) as client:
        with client.relay("/v1/x"):
            client.lock()
        assert daemon.callers == 2
