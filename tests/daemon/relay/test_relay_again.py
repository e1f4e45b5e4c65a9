"""What is sent a second time, and what never is: only after a 401, or where nothing had been sent."""

import asyncio
from functools import partial
from typing import Any

import pytest
from msgspec import structs

from aixtivd.accounts.credential import Credential
from aixtivd.errors import AixtivError, BadRequest, SignInNeeded, Unreachable
from aixtivd.relay import bodies, connection
from aixtivd.relay.bodies import WHOLE
from aixtivd.relay.connection import Connection
from peers.canned import raw
from peers.claude import Claude
from peers.claude_api.weather import Weather, unauthenticated
from peers.relaying import HELLO, VERSION, Around, Pieces, called, hello, key, relaying, token
from peers.waiting import until

FILE = b"x" * (WHOLE * 4)
EARLY = structs.replace(unauthenticated(), early=True)  # said before the body has arrived


def only(claude: Claude, *good: Credential) -> None:
    """Of the tokens and keys there are, these are good."""
    claude.credentials.accept_only(*(credential.secret.reveal() for credential in good))


async def test_after_a_401_the_new_token_is_sent_once() -> None:
    async with Claude() as claude, relaying(claude.url, token(1), token(2)) as around:
        only(claude, token(2))
        answer = await around.get(hello())
        assert answer.status == 200
        assert around.purse.refused == ["sk-ant-oat01-1"]
        assert [heard.credential for heard in claude.requests] == ["sk-ant-oat01-1", "sk-ant-oat01-2"]
        assert {heard.body for heard in claude.requests} == {HELLO}
        assert around.ledger.last["sent"] == len(HELLO)
        assert len(around.ledger.records) == 1


@pytest.mark.parametrize("length", [len(FILE) * 3, None])
async def test_a_large_body_is_sent_again_from_its_beginning(length: int | None) -> None:
    async with Claude() as claude, relaying(claude.url, token(1), token(2)) as around:
        only(claude, token(2))
        answer = await around.get(called("POST", "/v1/files", VERSION, body=Pieces(*[FILE] * 3, length=length)))
        assert answer.status == 200
        assert claude.last.body == FILE * 3


async def test_a_401_that_comes_while_the_body_is_still_on_its_way_is_mended_too() -> None:
    """The part that the caller is just giving is not lost, and neither is the one that it gives later."""
    refused = asyncio.Event()

    async with Claude() as claude, relaying(claude.url, token(1), token(2)) as around:
        only(claude, token(2))
        claude.set_weather(EARLY)
        body = Pieces(b"a" * WHOLE, b"b", refused, b"c", b"d", length=None)

        around.purse.when_refused = refused.set
        answer = await around.get(called("POST", "/v1/files", VERSION, body=body))
        assert answer.status == 200
        assert claude.last.body == b"a" * WHOLE + b"bcd"
        assert len(claude.requests) == 2


async def test_a_second_401_goes_to_the_caller_as_it_came() -> None:
    async with Claude() as claude, relaying(claude.url, token(1), token(2), SignInNeeded("no better one")) as around:
        only(claude)
        answer = await around.get(hello())
        assert answer.status == 401
        assert answer.body == claude.last.said
        assert len(claude.requests) == 2


async def test_a_second_401_asks_for_no_third_token() -> None:
    async with Claude() as claude, relaying(claude.url, token(1), token(2), token(3)) as around:
        only(claude, token(3))
        assert (await around.get(hello())).status == 401
        assert len(claude.requests) == 2


@pytest.mark.parametrize("again", [1, 2])
async def test_a_401_that_is_not_the_tokens_fault_goes_to_the_caller_as_it_came(again: int) -> None:
    """The accounts hand the same one back where it was taken elsewhere (some paths take no tokens)."""
    held = [token(number + 1) for number in range(again)]
    async with Claude() as claude, relaying(claude.url, *held, held[-1]) as around:
        only(claude)
        answer = await around.get(hello())
        assert (answer.status, answer.body) == (401, claude.last.said)
        assert len(claude.requests) == again


async def test_what_a_credential_drew_is_told_to_the_accounts() -> None:
    async with Claude() as claude, relaying(claude.url, token(1), token(2)) as around:
        only(claude, token(2))
        await around.get(hello())
        assert around.purse.answers == [("sk-ant-oat01-1", 401), ("sk-ant-oat01-2", 200)]


async def test_after_the_refresh_was_in_vain_the_key_pays_where_it_may() -> None:
    async with Claude() as claude, relaying(claude.url, token(1), token(2), key(1)) as around:
        only(claude, key(1))
        answer = await around.get(hello(headers=(VERSION, ("anthropic-beta", "a,oauth-2025-04-20"))))
        assert (answer.status, answer.kind, answer.note) == (200, "api-key", "an API key pays")
        assert around.purse.refused == ["sk-ant-oat01-1", "sk-ant-oat01-2"]
        assert claude.last.header("anthropic-beta") == "a"
        assert around.ledger.last["kind"] == "api-key"


async def test_where_there_is_no_new_token_the_key_pays_at_once() -> None:
    async with Claude() as claude, relaying(claude.url, token(1), key(1)) as around:
        only(claude, key(1))
        assert (await around.get(hello())).kind == "api-key"
        assert len(claude.requests) == 2


async def test_where_nothing_better_is_to_be_had_a_sentence_takes_the_place_of_the_401() -> None:
    async with (
        Claude() as claude,
        relaying(claude.url, token(1), SignInNeeded("sign in again", hint="aixtiv login anthropic")) as around,
    ):
        only(claude)
        with pytest.raises(SignInNeeded, match="sign in again"):
            await around.get(hello())
        assert (around.ledger.last["status"], around.ledger.last["ok"]) == (401, False)


async def test_a_key_that_is_refused_has_nothing_behind_it() -> None:
    async with Claude() as claude, relaying(claude.url, key(1)) as around:
        only(claude)
        assert (await around.get(hello())).status == 401
        assert len(claude.requests) == len(around.purse.asked) == 1


@pytest.mark.parametrize("size", [len(FILE), len(FILE) + 1])
async def test_a_body_that_was_not_kept_is_not_sent_again_but_the_next_call_has_the_new_token(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(bodies, "RESENDABLE", len(FILE))
    async with Claude() as claude, relaying(claude.url, token(1), token(2)) as around:
        only(claude, token(2))
        body = Pieces(b"x" * WHOLE, b"x" * (size - WHOLE))
        answer = await around.get(called("POST", "/v1/files", VERSION, body=body))
        assert answer.status == (200 if size == len(FILE) else 401)
        assert (await around.get(hello())).status == 200


async def test_a_caller_who_fails_while_its_body_goes_out_again_is_told_why() -> None:
    gate = asyncio.Event()
    async with Claude() as claude, relaying(claude.url, token(1), token(2)) as around:
        claude.set_weather(EARLY)
        body = Pieces(b"a" * WHOLE, b"b", gate, BadRequest("the caller has gone"), length=None)
        around.purse.when_refused = gate.set
        with pytest.raises(BadRequest, match="the caller has gone"):
            await around.get(called("POST", "/v1/files", VERSION, body=body))


@pytest.mark.parametrize("cut", ["silent", "head", "middle"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_call_that_may_have_run_is_never_sent_again(cut: str, stream: bool) -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(cut=cut))  # type: ignore[arg-type]
        with pytest.raises(Unreachable):
            await around.get(hello(body=HELLO[:-1] + b',"stream":true}' if stream else HELLO))
        assert claude.count == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST"])
async def test_not_even_what_is_idempotent_is_repeated_on_a_connection_that_was_in_use(method: str) -> None:
    """aiohttp would: `ClientSession` sends such methods again where a kept connection ends without an answer."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        await around.get(called())
        with pytest.raises(Unreachable, match="the call may have run"):
            await around.get(called(method))
    assert [line.split()[0] for line in asked] == [b"GET", method.encode()]


async def test_a_connection_that_the_api_has_closed_meanwhile_is_found_out_before_anything_is_sent() -> None:
    """Also where its end has arrived and the loop has not read it yet: then the kernel is asked."""
    asked: list[bytes] = []
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await closed.wait()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        for _ in range(3):
            await asyncio.gather(*(around.get(hello()) for _ in range(4)))
            idle = _idle(around)
            assert len(idle) == 4
            for connection in idle:
                assert connection._transport is not None
                connection._transport.pause_reading()  # the loop stays blind: as if it had not come to it yet
            closed.set()
            await asyncio.to_thread(until, partial(_all_closed, idle), "every one is closed")
            closed.clear()
    assert len(asked) == 12


def _idle(around: Around) -> list[Connection]:
    """The connections that wait for a next call."""
    line: Any = around.relay._upstream._line
    return [connection for kept in line._idle.values() for connection in kept]


def _all_closed(connections: list[Connection]) -> bool:
    """By the kernel's word."""
    return not any(connection.usable for connection in connections)


async def test_what_stays_idle_too_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.IDLE == 15
    monkeypatch.setattr(connection, "IDLE", 0.01)
    async with Claude() as claude, relaying(claude.url) as around:
        await around.get(hello())
        await asyncio.sleep(0.03)
        await around.get(hello())
        assert claude.connections == 2


async def test_what_stays_idle_too_long_is_closed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE", 0.05)
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert await reader.read() == b""
        closed.set()

    async with raw(talk) as port, relaying(f"http://127.0.0.1:{port}") as around:
        for _ in range(3):
            await around.get(called())
        line: Any = around.relay._upstream._line
        assert len(line._open) == 1
        await closed.wait()
        assert not line._open
        assert not line._idle


async def test_failing_to_get_a_credential_sends_nothing() -> None:
    async with Claude() as claude, relaying(claude.url, SignInNeeded()) as around:
        with pytest.raises(AixtivError):
            await around.get(hello())
        assert claude.count == 0
        assert around.ledger.last["ok"] is False
