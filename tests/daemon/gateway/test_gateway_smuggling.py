"""Heads and bodies that two servers could read in two ways: none of them reaches the upstream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import pytest

from aixtivd.gateway.bounds import Bounds
from peers.porch import PATIENCE, Porch, get, porch

HOST: Final = b"Host: localhost\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
NEXT: Final = b"GET /v1/smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
"""What an attacker hides behind a request, so that another server takes it for the next one."""


def post(*headers: bytes, body: bytes = b"abc") -> bytes:
    return b"POST /v1/messages HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in headers) + b"\r\n" + body


def line(first: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((first, *headers, b"", b""))


def chunks(framed: bytes) -> bytes:
    return b"POST /v1/messages HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + framed


HEADS: Final = {
    # how long the body is
    "two lengths": post(b"Content-Length: 3", b"Content-Length: 60"),
    "two equal lengths": post(b"Content-Length: 3", b"Content-Length: 3"),
    "two lengths in one": post(b"Content-Length: 3, 3"),
    "length with chunked": post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked with length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "length with a plus": post(b"Content-Length: +3"),
    "length with a minus": post(b"Content-Length: -3"),
    "length with a space inside": post(b"Content-Length: 3 0"),
    "length in hexadecimal": post(b"Content-Length: 0x3"),
    "length with an underscore": post(b"Content-Length: 1_0"),
    "length with nothing": post(b"Content-Length:"),
    "length that overflows": post(b"Content-Length: 18446744073709551619"),
    "length that is the C parser's unknown": post(b"Content-Length: 18446744073709551615"),
    "length in other digits": post("Content-Length: \u0663".encode()),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked, gzip": post(b"Transfer-Encoding: chunked, gzip"),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "identity and chunked": post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked after a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
    "an empty coding": post(b"Transfer-Encoding:"),
    "chunked in HTTP/1.0": b"POST /v1/messages HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n",
    # lines and headers
    "bare LF after the request line": b"GET /v1/models HTTP/1.1\n" + HOST + b"\r\n",
    "bare LF after a header": b"GET /v1/models HTTP/1.1\r\n" + HOST + b"X-A: b\nX-B: c\r\n\r\n",
    "bare LF at the end": b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\n",
    "bare LF everywhere": b"GET /v1/models HTTP/1.1\nHost: localhost\n\n",
    "bare CR": b"GET /v1/models HTTP/1.1\r\n" + HOST + b"X-A: b\rX-B: c\r\n\r\n",
    "CR twice": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\r\n\r\n",
    "space before the colon": post(b"Content-Length : 3"),
    "tab before the colon": post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"),
    "folded line": post(b"Content-Length: 3", b"X-A: b\r\n c"),
    "folded line with a tab": post(b"Content-Length: 3", b"X-A: b\r\n\tc"),
    "folded coding": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "folded first header": line(b"GET /v1/models HTTP/1.1", b" Host: localhost"),
    "header without a colon": post(b"Content-Length: 3", b"nonsense"),
    "header without a name": post(b"Content-Length: 3", b": x"),
    "NUL in a value": post(b"Content-Length: 3", b"X-A: a\0b"),
    "NUL in a name": post(b"Content-Length: 3", b"X\0A: b"),
    "NUL in the target": line(b"GET /v1/\0models HTTP/1.1", b"Host: localhost"),
    "control character in a value": post(b"Content-Length: 3", b"X-A: a\x01b"),
    "delete in a value": post(b"Content-Length: 3", b"X-A: a\x7fb"),
    "a name that is no ASCII": post(b"Content-Length: 3", b"X-\xe9: b"),
    "a value that is no UTF-8": post(b"Content-Length: 3", b"X-A: \xe9"),
    "a name with brackets": post(b"Content-Length: 3", b"X(A): b"),
    # hosts
    "no Host": line(b"GET /v1/models HTTP/1.1", b"X-A: b"),
    "an empty Host": line(b"GET /v1/models HTTP/1.1", b"Host:"),
    "two Hosts": line(b"GET /v1/models HTTP/1.1", b"Host: localhost", b"Host: evil.example"),
    "two equal Hosts": line(b"GET /v1/models HTTP/1.1", b"Host: localhost", b"host: localhost"),
    # targets
    "absolute form": line(b"GET http://evil.example/v1/models HTTP/1.1", b"Host: localhost"),
    "authority form": line(b"GET evil.example:443 HTTP/1.1", b"Host: localhost"),
    "CONNECT": line(b"CONNECT evil.example:443 HTTP/1.1", b"Host: localhost"),
    "asterisk form": line(b"OPTIONS * HTTP/1.1", b"Host: localhost"),
    "GET of an asterisk": line(b"GET * HTTP/1.1", b"Host: localhost"),
    "no slash": line(b"GET v1/models HTTP/1.1", b"Host: localhost"),
    "two slashes": line(b"GET //evil.example/v1/models HTTP/1.1", b"Host: localhost"),
    "backslash": line(b"GET /\\evil.example/v1 HTTP/1.1", b"Host: localhost"),
    "fragment": line(b"GET /v1/models#/v1/messages HTTP/1.1", b"Host: localhost"),
    "space in the target": line(b"GET /v1/models /x HTTP/1.1", b"Host: localhost"),
    "tab in the target": line(b"GET /v1/\tmodels HTTP/1.1", b"Host: localhost"),
    "a target that is no ASCII": line(b"GET /v1/\xc3\xa9 HTTP/1.1", b"Host: localhost"),
    # versions and methods
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
    "HTTP/1.0": line(b"GET /v1/models HTTP/1.0", b"Host: localhost"),
    "HTTP/1.2": line(b"GET /v1/models HTTP/1.2", b"Host: localhost"),
    "HTTP/1.10": line(b"GET /v1/models HTTP/1.10", b"Host: localhost"),
    "HTTP/2.0": line(b"GET /v1/models HTTP/2.0", b"Host: localhost"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http in lower case": line(b"GET /v1/models http/1.1", b"Host: localhost"),
    "space behind the version": line(b"GET /v1/models HTTP/1.1 ", b"Host: localhost"),
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(60) + b"\r\n\r\n",
    "TRACE": line(b"TRACE /v1/models HTTP/1.1", b"Host: localhost"),
    "a method of its own": line(b"FROB /v1/models HTTP/1.1", b"Host: localhost"),
    "a method that is none": line(b"G(T /v1/models HTTP/1.1", b"Host: localhost"),
    # upgrades, expectations, sizes
    "websocket": post(b"Connection: Upgrade", b"Upgrade: websocket", body=b""),
    "h2c": post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    "upgrade with a body": post(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 3"),
    "an expectation nobody knows": post(b"Content-Length: 3", b"Expect: 200-ok"),
    "two credentials of one kind": post(b"Content-Length: 3", b"x-api-key: aixtiv-ticket-a", b"x-api-key: b"),
    "two accounts": post(b"Content-Length: 3", b"x-aixtiv-account: a", b"x-aixtiv-account: b"),
    "a target that is too long": line(b"GET /v1/" + b"a" * 9000 + b" HTTP/1.1", b"Host: localhost"),
    "a header that is too long": post(b"Content-Length: 3", b"X-A: " + b"a" * 9000),
    "a name that is too long": post(b"Content-Length: 3", b"a" * 9000 + b": b"),
    "too many headers": post(b"Content-Length: 3", *([b"X-A: b"] * 200)),
}

BODIES: Final = {
    "chunk size with a minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "chunk size with a plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "chunk size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size with an underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "chunk size with a space behind": b"3 \r\nabc\r\n0\r\n\r\n",
    "chunk size with a space before": b" 3\r\nabc\r\n0\r\n\r\n",
    "no chunk size": b"\r\nabc\r\n0\r\n\r\n",
    "chunk size that is no number": b"xyz\r\nabc\r\n0\r\n\r\n",
    "chunk longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk shorter than its size": b"5\r\nabc\r\n0\r\n\r\n",
    "bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "bare LF after the chunk": b"3\r\nabc\n0\r\n\r\n",
    "bare LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a trailer without a colon": b"3\r\nabc\r\n0\r\nnonsense\r\n\r\n",
    "a folded trailer": b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
}


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Porch]:
    async with porch(folder, Bounds(head=0.3, parting=0.2, body=2)) as side:
        yield side


async def talk(side: Porch, port: int, parts: list[bytes]) -> int:
    """Says that, each part in a segment of its own; the answer's status, 0: hung up on. Then nothing more comes."""
    async with asyncio.timeout(PATIENCE), await side.caller(port) as wire:
        for part in parts:
            wire.say(part)
            await wire.writer.drain()
            for _ in range(5):
                await asyncio.sleep(0)
        heard = await wire.hear()
        assert await wire.closed(), "it would read on"
        return heard.status


@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
@pytest.mark.parametrize("name", HEADS)
async def test_a_head_that_is_not_plain_is_refused_and_nothing_behind_it_is_read(
    folder: Path, name: str, split: bool
) -> None:
    async with serving(folder) as side:
        said = HEADS[name] + NEXT
        middle = len(HEADS[name]) // 2
        status = await talk(side, 0, [said[:middle], said[middle:]] if split else [said])
        assert status in {0, 400, 401}, status
        assert side.desk.calls == []
        assert side.book.denied or status == 0


@pytest.mark.parametrize("name", BODIES)
async def test_a_broken_body_that_comes_with_its_head_reaches_nobody(folder: Path, name: str) -> None:
    async with serving(folder) as side:
        status = await talk(side, 0, [chunks(BODIES[name]) + NEXT])
        assert status in {0, 400}
        assert side.desk.bodies == []
        assert all(call.path != "/v1/smuggled" for call in side.desk.calls)


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_breaks_later_ends_the_call_at_once(folder: Path, name: str) -> None:
    """Whoever reads the body is told: it would wait for ever."""
    async with serving(folder) as side, await side.caller() as wire:
        wire.say(chunks(b"2\r\nok\r\n"))
        await side.desk.begun.wait()
        wire.say(BODIES[name] + NEXT)
        with anyio.fail_after(1.5):  # and not by the body's own time limit
            heard = await wire.hear()
            assert heard.status in {0, 400}
            assert await wire.closed()
        assert side.desk.bodies == []
        assert len(side.desk.calls) == 1


async def test_a_body_that_is_shorter_than_it_says_is_no_body(folder: Path) -> None:
    async with serving(folder) as side:
        wire = await side.caller()
        wire.say(post(b"Content-Length: 10"))
        await side.desk.begun.wait()
        wire.writer.write_eof()
        with anyio.fail_after(5):
            await side.desk.ended.wait()
        assert side.desk.bodies == []
        wire.writer.close()


async def test_what_follows_a_refused_request_is_not_read(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as wire:
        wire.say(get("/v1/1") + HEADS["two lengths"] + NEXT)
        assert [(await wire.hear()).status for _ in range(2)] == [200, 400]
        assert await wire.closed()
        assert [call.path for call in side.desk.calls] == ["/v1/1"]


async def test_the_refusal_is_in_claudes_words_and_quotes_nothing(folder: Path) -> None:
    async with serving(folder) as side:
        for said in (HEADS["two lengths"], HEADS["HTTP/1.0"], HEADS["header without a colon"]):
            heard = await side.ask(said)
            assert heard.status == 400
            assert heard.error[0] == "invalid_request_error"
            assert {name for name, _ in heard.headers} == {"content-type", "content-length", "connection"}
            assert b"nonsense" not in heard.body


PLAIN: Final = {
    "a tab as the space behind a colon": post(b"Content-Length:\t3"),
    "spaces around a length": post(b"Content-Length:   3  "),
    "zeros before a length": post(b"Content-Length: 003"),
    "chunked in capitals": post(b"Transfer-Encoding: CHUNKED", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "empty lines before the request": b"\r\n\r\n" + post(b"Content-Length: 3"),
}


@pytest.mark.parametrize("name", PLAIN)
async def test_what_everybody_reads_alike_is_served(folder: Path, name: str) -> None:
    async with serving(folder) as side, await side.caller() as wire:
        wire.say(PLAIN[name])
        assert (await wire.hear()).status == 200
        assert side.desk.bodies == [b"abc"]
