"""Calls through a proxy: it hears a host's name, and then only what it cannot read."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from aixtivd.config import ApiConfig, Config, Network
from aixtivd.relay.failure import UpstreamFailure
from peers.canned import raw
from peers.certificates import certificate
from peers.relaying import HELLO, Around, called, hello, relaying

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = b"sk-ant-oat01-1"


class Tunnel(Struct):
    """A proxy that knows CONNECT, and what it was asked and saw."""

    asked: list[bytes] = []
    seen: bytes = b""
    answer: bytes = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        there, onward = await asyncio.open_connection("127.0.0.1", port)
        writer.write(self.answer)
        try:
            await asyncio.gather(self._pass(reader, onward), self._pass(there, writer))
        finally:
            onward.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            self.seen += piece
            writer.write(piece)
            await writer.drain()
        writer.close()


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(HELLO[-10:])
        writer.write(OK)
        await writer.drain()


def certified(folder: Path, name: str) -> ssl.SSLContext:
    folder.mkdir()
    return certificate(folder, name)


def _put_together(folder: Path, known: Path) -> None:
    known.write_bytes(b"".join(path.read_bytes() for path in folder.glob("*/cert.pem")))


@asynccontextmanager
async def through(folder: Path, tunnel: Tunnel, *, secure: bool = False) -> AsyncIterator[Around]:
    """To an API by a name that only the proxy can reach."""
    context = certified(folder / "api", "api.invalid")
    how = {"ssl": certified(folder / "proxy", "127.0.0.1")} if secure else {}
    async with raw(answered, ssl=context) as port, raw(tunnel.talk, **how) as proxy:
        scheme = "https" if secure else "http"
        known = folder / "both.pem"
        _put_together(folder, known)
        network = Network(proxy=f"{scheme}://127.0.0.1:{proxy}", ca_file=str(known))
        async with relaying(f"https://api.invalid:{port}", network=network) as around:
            yield around


async def test_whatever_yes_a_proxy_says_opens_the_way(folder: Path) -> None:
    tunnel = Tunnel(answer=b"HTTP/1.1 204 Yes\r\n\r\n")
    async with through(folder, tunnel) as around:
        assert (await around.get(hello())).body == b"ok"


@pytest.mark.parametrize("secure", [False, True])
async def test_the_proxy_hears_the_name_and_nothing_else_and_a_connection_is_kept(folder: Path, secure: bool) -> None:
    tunnel = Tunnel()
    async with through(folder, tunnel, secure=secure) as around:
        for _ in range(3):
            assert (await around.get(hello())).body == b"ok"
    (asked,) = tunnel.asked
    lines = asked.decode().split("\r\n")
    assert lines[0].startswith("CONNECT api.invalid:")
    assert lines[1:] == [f"Host: {lines[0].split()[1]}", "", ""]
    assert tunnel.seen
    assert SECRET not in tunnel.seen


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "cannot be reached: the proxy answered 502"),
        (b"HTTP/1.1 301 Go\r\nLocation: http://x/\r\n\r\n", "cannot be reached: the proxy answered 301"),
        (b"SSH-2.0-OpenSSH\r\n", "cannot be reached: the proxy does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "cannot be reached: the proxy does not speak HTTP"),
        (b"HTTP/1.1 299 OK\r\n\r\nno TLS at all", "cannot be reached: the proxy does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nno TLS at all", "cannot be reached: the proxy does not speak HTTP"),
    ],
)
async def test_a_proxy_that_opens_no_way_is_a_sentence_and_nothing_was_sent(
    folder: Path, answer: bytes, said: str
) -> None:
    tunnel = Tunnel(answer=answer)
    async with through(folder, tunnel) as around:
        with pytest.raises(UpstreamFailure) as caught:
            await around.get(hello())
    assert caught.value.sentence.startswith(f"api.invalid {said}")
    assert not caught.value.maybe_sent
    assert SECRET not in tunnel.seen


async def test_a_proxy_that_hangs_up_or_is_not_there_is_a_sentence() -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with raw(hang_up) as port:
        network = Network(proxy=f"http://127.0.0.1:{port}")
        async with relaying("https://api.invalid", network=network) as around:
            with pytest.raises(UpstreamFailure, match=r"^api.invalid cannot be reached: the proxy does not answer$"):
                await around.get(hello())
    async with relaying("https://api.invalid", network=network) as around:
        with pytest.raises(UpstreamFailure, match=r"^api.invalid cannot be reached: the proxy does not answer$"):
            await around.get(hello())


async def test_behind_a_proxy_the_apis_own_certificate_counts(folder: Path) -> None:
    certified(folder / "api", "api.invalid")
    other = certified(folder / "other", "evil.invalid")
    tunnel = Tunnel()
    async with raw(answered, ssl=other) as port, raw(tunnel.talk) as proxy:
        network = Network(proxy=f"http://127.0.0.1:{proxy}", ca_file=str(folder / "api" / "cert.pem"))
        async with relaying(f"https://api.invalid:{port}", network=network) as around:
            with pytest.raises(UpstreamFailure, match="certificate that this machine does not trust"):
                await around.get(hello())
    assert SECRET not in tunnel.seen


async def test_what_is_on_this_machine_is_reached_without_the_proxy() -> None:
    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Asked\r\n\r\n")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()

    async with raw(never) as proxy, raw(talk) as port:
        config = Config(api={"anthropic": ApiConfig(origin=f"http://127.0.0.1:{port}")})
        network = Network(proxy=f"http://127.0.0.1:{proxy}")
        async with relaying(config.api["anthropic"].origin, network=network) as around:
            assert (await around.get(called())).body == b"ok"
