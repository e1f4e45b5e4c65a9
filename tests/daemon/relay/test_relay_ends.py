"""How a call ends that does not end well: who hangs up, goes silent or stops reading, and what is said of it."""

import asyncio
import contextlib
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest

from aixtivd.config import ApiConfig, Network
from aixtivd.errors import Misconfigured, Unreachable
from aixtivd.relay import connection, dialing
from aixtivd.relay.bodies import ALL_KEPT, WHOLE
from aixtivd.relay.failure import UpstreamFailure
from peers.canned import raw
from peers.certificates import certificate
from peers.claude import Claude, Weather
from peers.relaying import HELLO, STREAM, VERSION, Around, Pieces, called, hello, relaying
from peers.waiting import until

BIG = b"x" * (8 * 1024 * 1024)  # more than any buffer between two sockets


LINE = b"X-Line: " + b"x" * 1000 + b"\r\n"
NONE = b"Content-Length: 0\r\n\r\n"


async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def failing(around: Around, **changed: Any) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        await around.get(hello(**changed))
    assert caught.value.hint == "aixtiv doctor"
    assert around.ledger.last["ok"] is False
    return caught.value


async def test_a_caller_that_hangs_up_before_the_answer_hangs_up_upstream() -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(hang=True))
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(around.get, hello())
                await claude.until(silent=1)
                scope.cancel()
        await claude.until(gone=1)
        assert around.ledger.last == {
            "what": "relay",
            "caller": called().caller,
            "ok": False,
            "account": "anthropic",
            "detail": "POST /v1/messages",
            "status": 0,
            "sent": len(HELLO),
            "received": 0,
            "kind": "oauth",
        }


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_caller_that_hangs_up_in_the_middle_of_a_stream_hangs_up_upstream(cancelled: bool) -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(silence=3))
        with anyio.CancelScope() as scope:
            async with around.relay.call(hello(body=STREAM)) as answer:
                await anext(answer.pieces)
                await claude.until(silent=1)
                if cancelled:
                    scope.cancel()
                    await anext(answer.pieces)
        await claude.until(gone=1)
        assert (around.ledger.last["status"], around.ledger.last["ok"]) == (200, False)
        assert around.ledger.last["received"] > 0


async def test_a_caller_that_hangs_up_while_it_sends_leaves_nothing_behind_that_still_wants_to_be_sent() -> None:
    """A connection that is closed first sends what is buffered: to an API that does not read, for ever."""
    cancelled, ended = asyncio.Event(), asyncio.Event()
    received = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        await cancelled.wait()
        with contextlib.suppress(ConnectionResetError):
            while piece := await reader.read(1_000_000):
                received += len(piece)
        ended.set()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        with anyio.move_on_after(0.3) as scope:
            await around.get(called("POST", "/v1/files", VERSION, body=Pieces(*[BIG] * 3)))
        assert scope.cancelled_caught
        cancelled.set()
        await ended.wait()
        assert received < len(BIG)  # what the kernel had already taken
        assert around.relay._budget.left == ALL_KEPT


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "cut the connection, and the call may have run"),
        (b"HTTP/1.1 ", "cut the connection, and the call may have run"),
        (b"nonsense\r\n\r\n", "answered with something that is not HTTP, and the call may have run"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "answered with something that is not HTTP, and the call"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "answered with something that is not HTTP, and the call"),
        (b"HTTP/1.1 200 OK\r\n" + LINE * 100 + NONE, "answered with something that is not HTTP, and the call"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100_000, "answered with something that is not HTTP, and the call"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "answered with something"),
        (b"HTTP/1.1 000 OK\r\n" + NONE, "answered with something that is not HTTP, and the call"),
        (b"HTTP/1.1 999 OK\r\n" + NONE, "answered with something that is not HTTP, and the call"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "answered with something"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nabc", "answered with something"),
    ],
)
async def test_an_api_that_gives_no_answer_is_a_sentence_that_says_how_far_it_got(answer: bytes, said: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]}")
        writer.write(answer)
        await writer.drain()
        if b"\r\n\r\n" in answer:  # else only the end of the connection says that there is no more
            await reader.read()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        failure = await failing(around)
        assert failure.sentence.startswith(f"127.0.0.1 {said}")
        assert failure.maybe_sent


async def test_an_api_that_is_not_there_was_sent_nothing() -> None:
    async with raw(say_nothing) as port:
        pass
    async with relaying(f"http://127.0.0.1:{port}") as around:
        failure = await failing(around)
        assert failure.sentence == "127.0.0.1 cannot be reached: connection refused"
        assert not failure.maybe_sent
        assert (around.ledger.last["what"], around.ledger.last["ok"]) == ("relay", False)
    async with relaying("https://nobody.invalid") as around:
        assert (await failing(around)).sentence == "nobody.invalid cannot be found: its name does not resolve"


async def test_an_api_that_takes_no_connection_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "CONNECT", 0.2)
    async with raw(say_nothing) as port, relaying(f"https://127.0.0.1:{port}") as around:  # TLS that never ends
        failure = await failing(around)
        assert failure.sentence == "127.0.0.1 does not answer: no connection within 0.2 seconds"
        assert not failure.maybe_sent


async def test_an_api_that_is_silent_is_given_up_after_a_long_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.SILENCE == 600
    monkeypatch.setattr(connection, "SILENCE", 0.2)
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(hang=True), Weather(silence=3))
        failure = await failing(around)
        assert (
            failure.sentence == "127.0.0.1 does not answer: nothing has come for 0.2 seconds, and the call may have run"
        )
        failure = await failing(around, body=STREAM)
        assert failure.sentence == "127.0.0.1 sent nothing for 0.2 seconds in the middle of its answer"
        await claude.until(gone=2)


async def test_a_stream_that_is_slow_is_never_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No total timeout: only silence ends it."""
    monkeypatch.setattr(connection, "SILENCE", 0.25)
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(deltas=10, pace=0.06))
        answer = await around.get(hello(body=STREAM))
        assert b"message_stop" in answer.body


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        ("Content-Length: 100", b"half"),
        ("Content-Length: 5\r\nContent-Encoding: gzip", b"half"),
        ("Transfer-Encoding: chunked", b""),
        ("Transfer-Encoding: chunked", b"4\r\nha"),
        ("Transfer-Encoding: chunked", b"4\r\nhalf\r\n"),
        ("Transfer-Encoding: chunked", b"4\r\nhalf\r\n0\r\n"),
        ("Transfer-Encoding: chunked", b"zz\r\nhalf\r\n"),  # of which aiohttp tells nobody
        ("Transfer-Encoding: chunked", b"4\r\nhalves"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_an_answer_that_breaks_off_never_looks_whole(head: str, rest: bytes, at_once: bool) -> None:
    begun = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]}")
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + (rest if at_once else b""))
        if not at_once:
            await begun.wait()
            writer.write(rest)
        await writer.drain()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:

        async def read() -> None:
            async with around.relay.call(hello()) as answer:
                begun.set()
                async for _ in answer.pieces:
                    pass

        with pytest.raises(UpstreamFailure, match=r"in the middle of its answer|not HTTP"):
            await read()
        assert around.ledger.last["ok"] is False


@pytest.mark.parametrize("said", [True, False])
async def test_over_tls_the_end_of_a_connection_ends_an_answer_only_where_the_api_says_so(
    folder: Path, said: bool
) -> None:
    """Whoever is on the way can end a connection, too, and so cut an answer off (RFC 9112 §9.8)."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]}")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nas much as there is")
        await writer.drain()
        if not said:
            with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as under:
                under.shutdown(socket.SHUT_WR)

    context = certificate(folder)
    async with raw(talk, ssl=context) as port:
        network = Network(ca_file=str(folder / "cert.pem"))
        async with relaying(f"https://127.0.0.1:{port}", network=network) as around:
            if said:
                assert (await around.get(hello())).body == b"as much as there is"
            else:
                with pytest.raises(UpstreamFailure, match="cut the connection in the middle of its answer"):
                    await around.get(hello())
            assert around.ledger.last["ok"] is said


async def test_what_was_read_of_an_answer_that_breaks_off_comes_first() -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(cut="middle"))
        pieces: list[bytes] = []

        async def read() -> None:
            async with around.relay.call(hello(body=STREAM)) as answer:
                async for piece in answer.pieces:
                    pieces.append(piece)  # noqa: PERF401  # it breaks off

        with pytest.raises(Unreachable, match="in the middle of its answer"):
            await read()
        assert pieces
        assert b"".join(pieces) == claude.last.said
        assert around.ledger.last["received"] == sum(map(len, pieces))


async def test_a_caller_that_stops_reading_stops_the_api_and_nobody_else() -> None:
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head = await reader.readuntil(b"\r\n\r\n")
        if b"GET /v1/models" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(BIG) * 8))
        for _ in range(8 * 128):
            writer.write(BIG[: len(BIG) // 128])
            await writer.drain()
            sent += len(BIG) // 128

    async with (
        raw(talk) as port,
        relaying(f"http://127.0.0.1:{port}") as around,
        around.relay.call(called("GET", "/v1/files/a/content")) as stuck,
    ):
        received = len(await anext(stuck.pieces))
        for _ in range(50):
            assert (await around.get(called())).body == b"ok"
        assert sent < len(BIG) * 4
        async for piece in stuck.pieces:
            received += len(piece)
        assert received == len(BIG) * 8


async def test_what_is_kept_of_a_body_is_dropped_when_the_answer_begins_and_not_when_it_ends() -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(hang=True, silence=3))
        body = STREAM.replace(b"hello", b"hello " * WHOLE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(around.get, hello(body=body))
            await claude.until(silent=1)
            assert around.relay._budget.left == ALL_KEPT - len(body)
            tasks.cancel_scope.cancel()
        claude.set_weather(Weather(silence=3))
        async with around.relay.call(hello(body=body)):
            assert around.relay._budget.left == ALL_KEPT


async def test_an_api_that_stops_reading_stops_the_caller() -> None:
    go_on = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        await reader.readexactly(1000 * WHOLE)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    body = Pieces(*[b"x" * WHOLE] * 1000)
    counts = [0, 0]

    def stands_still() -> bool:
        counts.append(body.taken)
        return counts[-1] > 0 and counts[-1] == counts[-min(10, len(counts))]

    async with raw(talk, limit=2**16) as port, relaying(f"http://127.0.0.1:{port}") as around:
        sending = asyncio.ensure_future(around.get(called("POST", "/v1/files", VERSION, body=body)))
        await asyncio.to_thread(until, stands_still, "no more is taken from the caller")
        assert 0 < body.taken < 500
        go_on.set()
        await sending
    assert body.taken == 1000


async def test_a_body_that_breaks_off_is_the_callers_failure_and_cuts_the_request() -> None:
    cut = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readuntil(b"0\r\n\r\n")
        cut.set()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        with pytest.raises(Exception, match=r"the caller's body broke off \(OSError\)"):
            await around.get(called("POST", "/v1/files", VERSION, body=Pieces(b"x", OSError("gone"), length=None)))
        await cut.wait()


async def test_the_configs_authorities_are_trusted_and_others_are_not(folder: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    context: ssl.SSLContext = certificate(folder)
    async with raw(talk, ssl=context) as port:
        url = f"https://127.0.0.1:{port}"
        async with relaying(url) as around:
            failure = await failing(around)
            assert failure.sentence == "127.0.0.1 shows a certificate that this machine does not trust"
            assert not failure.maybe_sent
        async with relaying(url, network=Network(ca_file=str(folder / "cert.pem"))) as around:
            assert (await around.get(hello())).body == b"ok"
            around.relay.reconfigure(type(around.relay._config)(api={"anthropic": ApiConfig(origin=url)}))
            assert "does not trust" in (await failing(around)).sentence
        async with relaying(url, network=Network(ca_file=str(folder / "key.pem"))) as around:
            with pytest.raises(Misconfigured, match="not a file of PEM certificates"):
                await around.get(hello())


async def test_what_goes_through_a_proxy_that_refuses_was_not_sent() -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw(talk) as port:
        network = Network(proxy=f"http://127.0.0.1:{port}", no_proxy=(".direct.invalid",))
        async with relaying("https://api.invalid", network=network) as around:
            failure = await failing(around)
            assert failure.sentence == "api.invalid cannot be reached: the proxy answered 407"
            assert not failure.maybe_sent
        async with relaying("https://api.direct.invalid", network=network) as around:
            assert "does not resolve" in (await failing(around)).sentence
    assert asked[0].startswith(b"CONNECT api.invalid:443 ")
    assert b"sk-ant" not in asked[0]


async def test_closing_the_relay_ends_what_is_under_way() -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(silence=3))
        async with around.relay.call(hello(body=STREAM)) as answer:
            await claude.until(silent=1)
            await around.relay.aclose()
            with pytest.raises(Unreachable):
                async for _ in answer.pieces:
                    pass
        await claude.until(gone=1)
