"""The gateway's way through: what a caller says is what the relay is told, and its answer is what the caller gets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import anyio
import pytest

from aixtivd.errors import Busy, SignInNeeded, Unreachable
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.upload import Upload
from peers.porch import Said, bearer, get, porch, post


async def test_a_call_reaches_the_relay_as_it_was_written(folder: Path) -> None:
    async with porch(folder) as side:
        heard = await side.ask(
            post(
                b'{"a": 1}',
                "X-Odd-CASE: b",
                "anthropic-beta: x",
                "X-Odd-CASE: c",
                target="/v1/messages?beta=true&x=%7e",
            )
        )
        assert (heard.status, heard.reason, heard.body, heard.whole) == (200, "OK", b"{}", True)
        (call,) = side.desk.calls
        assert (call.method, call.path, side.desk.bodies) == ("POST", "/v1/messages?beta=true&x=%7e", [b'{"a": 1}'])
        assert call.headers == (
            ("Host", "localhost"),
            ("Content-Length", "8"),
            ("X-Odd-CASE", "b"),
            ("anthropic-beta", "x"),
            ("X-Odd-CASE", "c"),
        )
        assert (call.body.length, call.account, call.caller.ticket) == (8, "", "")


async def test_the_answer_has_the_upstreams_head_and_nothing_of_ours(folder: Path) -> None:
    headers = (("Request-Id", "req_1"), ("content-encoding", "gzip"), ("content-length", "3"), ("x-ratelimit", "é"))
    async with porch(folder) as side:
        side.desk.said = Said(529, "Overloaded here", headers, (b"\x1f\x8b\x00",))
        heard = await side.ask(get())
        assert (heard.status, heard.reason, heard.body) == (529, "Overloaded here", b"\x1f\x8b\x00")
        assert heard.headers == (*headers[:3], ("x-ratelimit", "é".encode().decode("latin-1")))


async def test_why_a_key_paid_stands_in_a_header(folder: Path) -> None:
    async with porch(folder) as side:
        side.desk.said = Said(note="the sign-in is over; the API key pays\r\nx: y")
        heard = await side.ask(get())
        assert heard.all("x-aixtiv-warning") == ["the sign-in is over; the API key pays??x: y"]


async def test_each_piece_of_a_stream_arrives_at_once(folder: Path) -> None:
    go = [anyio.Event(), anyio.Event()]
    async with porch(folder) as side:
        side.desk.said = Said(
            headers=(("content-type", "text/event-stream"),),
            steps=(b"event: ping\n\n", go[0].wait, b"data: x\n\n", go[1].wait, b"end"),
        )
        async with await side.caller() as wire:
            wire.say(get())
            head = await wire.hear_head()
            assert head.all("transfer-encoding") == ["chunked"]
            assert await wire.hear_chunk() == b"event: ping\n\n"
            go[0].set()
            assert await wire.hear_chunk() == b"data: x\n\n"
            go[1].set()
            assert (await wire.hear_chunk(), await wire.hear_chunk()) == (b"end", b"")


async def test_an_empty_piece_does_not_end_a_stream(folder: Path) -> None:
    async with porch(folder) as side:
        side.desk.said = Said(headers=(), steps=(b"a", b"", b"b"))
        assert (await side.ask(get())).body == b"ab"


@pytest.mark.parametrize(("status", "lengths"), [(204, []), (304, ["7"])])
async def test_an_answer_without_a_body_has_none(folder: Path, status: int, lengths: list[str]) -> None:
    async with porch(folder) as side:
        side.desk.said = Said(status, "x", (("content-length", "7"),), ())
        async with await side.caller() as wire:
            wire.say(get() + get())
            for _ in range(2):
                heard = await wire.hear()
                assert (heard.status, heard.all("content-length")) == (status, lengths)
                assert not heard.all("transfer-encoding")


async def test_a_head_request_gets_the_head_alone(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        for headers in ((("content-length", "99"),), ()):
            side.desk.said = Said(headers=headers, steps=())
            wire.say(get(method="HEAD"))
            heard = await wire.hear(head=True)
            assert (heard.status, heard.headers) == (200, headers)
        side.desk.said = SignInNeeded("sign in")
        wire.say(get(method="HEAD") + get())
        assert (await wire.hear(head=True)).status == 403
        assert (await wire.hear()).status == 403


async def test_a_connection_is_kept_for_the_next_call(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        for number in range(20):
            wire.say(post(str(number).encode()))
            heard = await wire.hear()
            assert (heard.body, heard.all("connection")) == (b"{}", [])
        assert side.desk.bodies == [str(number).encode() for number in range(20)]


async def test_whoever_wants_the_connection_closed_gets_that(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        wire.say(get("/v1/models", "Connection: close"))
        assert (await wire.hear()).all("connection") == ["close"]
        assert await wire.closed()


async def test_pipelined_calls_are_answered_in_their_order_and_one_at_a_time(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        most = 0

        async def count() -> None:
            nonlocal most
            await anyio.lowlevel.checkpoint()
            most = max(most, side.desk.open)

        side.desk.said = Said(headers=(), steps=(b"x", count))
        wire.say(b"".join(post(str(number).encode(), target=f"/v1/{number}") for number in range(70)))
        for _ in range(70):
            assert (await wire.hear()).body == b"x"
        assert [call.path for call in side.desk.calls] == [f"/v1/{number}" for number in range(70)]
        assert side.desk.bodies == [str(number).encode() for number in range(70)]
        assert most == 1


async def test_a_body_in_chunks_has_no_length_and_passes_without_its_framing(folder: Path) -> None:
    async with porch(folder) as side:
        said = get("/v1/messages", "Transfer-Encoding: chunked", method="POST")
        heard = await side.ask(said + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
        assert (heard.status, side.desk.bodies, side.desk.calls[0].body.length) == (200, [b"abcde"], None)


async def test_an_encoded_body_is_not_decoded(folder: Path) -> None:
    async with porch(folder) as side:
        await side.ask(post(b"\x1f\x8bnot gzip at all", "Content-Encoding: gzip"))
        assert side.desk.bodies == [b"\x1f\x8bnot gzip at all"]


async def test_a_caller_who_expects_to_be_told_to_go_on_is_told_so(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        for _ in range(2):
            wire.say(post(b"abc", "Expect: 100-continue")[:-3])
            assert (await wire.hear()).status == 100
            wire.say(b"abc")
            assert (await wire.hear()).status == 200
        assert side.desk.bodies == [b"abc", b"abc"]


async def test_a_caller_who_is_turned_away_is_not_told_to_go_on(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        side.desk.said = SignInNeeded("the sign-in is over", hint="aixtiv login anthropic")
        wire.say(post(b"abc", "Expect: 100-continue")[:-3])
        assert (await wire.hear()).status == 403
        assert await wire.closed()


async def test_an_answer_may_come_before_the_body_has(folder: Path) -> None:
    """A caller that only sends, and listens when it has sent everything, must not be stuck."""
    async with porch(folder) as side, await side.caller() as wire:
        side.desk.said = Said(413, "Too Large", (("content-length", "5"),), (b"large",), reads=False)
        body = b"x" * 8_000_000
        wire.say(post(body))
        await asyncio.wait_for(wire.writer.drain(), 20)
        heard = await wire.hear()
        assert (heard.status, heard.body, heard.all("connection")) == (413, b"large", ["close"])
        assert await wire.closed()


async def test_a_body_waits_in_the_callers_socket_until_it_is_read(folder: Path) -> None:
    """Back-pressure: what is not sent on does not pile up here."""
    async with porch(folder) as side, await side.caller() as wire:
        blocked = anyio.Event()

        async def stop() -> None:
            await blocked.wait()

        side.desk.said = Said(headers=(), steps=(stop,), reads=False)
        wire.say(post(b"x" * 30_000_000))
        await side.desk.begun.wait()
        upload = side.desk.calls[0].body
        for _ in range(200):
            await asyncio.sleep(0)
        assert 0 < cast("Upload", upload).held < 2_000_000
        blocked.set()


async def test_what_only_a_person_can_mend_is_a_403_with_the_command(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        side.desk.said = SignInNeeded("the sign-in of anthropic is over", hint="aixtiv login anthropic")
        wire.say(post() + post())
        for _ in range(2):
            heard = await wire.hear()
            assert heard.status == 403
            assert heard.error == (
                "permission_error",
                "the sign-in of anthropic is over; run: aixtiv login anthropic",
            )
            assert heard.all("x-should-retry") == []
            assert heard.all("content-type") == ["application/json"]


@pytest.mark.parametrize("failure", [Unreachable("the token endpoint is down"), Busy("too many")])
async def test_what_may_pass_is_a_503_that_clients_do_not_repeat_by_themselves(
    folder: Path, failure: Exception
) -> None:
    async with porch(folder) as side:
        side.desk.said = failure
        heard = await side.ask(post())
        assert (heard.status, heard.all("x-should-retry"), heard.error[0]) == (503, ["false"], "api_error")


async def test_a_defect_is_one_callers_answer_and_its_text_stays_here(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        side.desk.said = ZeroDivisionError("a secret")
        wire.say(get())
        heard = await wire.hear()
        assert (heard.status, heard.error) == (
            500,
            ("api_error", "a defect in aixtiv (ZeroDivisionError); the daemon's log says where"),
        )
        (facts,) = [record.__dict__["facts"] for record in caplog.records if record.message == "defect"]
        assert "porch.py" in facts["where"]
        assert "secret" not in str(facts)
        side.desk.said = Said()
        wire.say(get())
        assert (await wire.hear()).status == 200


@pytest.mark.parametrize("headers", [(), (("content-length", "9"),)])
async def test_an_answer_that_breaks_off_upstream_is_cut_off_here(folder: Path, headers: tuple[()]) -> None:
    async def breaks() -> None:
        raise Unreachable("the API broke off")

    async with porch(folder) as side:
        side.desk.said = Said(headers=headers, steps=(b"half", breaks))
        heard = await side.ask(get())
        assert (heard.status, heard.body, heard.whole) == (200, b"half", False)


@pytest.mark.parametrize("steps", [(b"too short",), (b"much too long, by far",)])
async def test_an_answer_of_another_length_than_it_says_is_cut_off(folder: Path, steps: tuple[bytes, ...]) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        side.desk.said = Said(headers=(("content-length", "10"),), steps=steps)
        wire.say(get() + get())
        heard = await wire.hear()
        assert not heard.whole
        assert await wire.closed()
        assert len(side.desk.calls) == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_a_caller_who_hangs_up_ends_the_call_at_once(folder: Path, begun: bool) -> None:
    async with porch(folder) as side:
        steps = (b"x", anyio.sleep_forever) if begun else (anyio.sleep_forever,)
        side.desk.said = Said(headers=(), steps=steps)
        wire = await side.caller()
        wire.say(get())
        await (wire.hear_head() if begun else side.desk.begun.wait())
        wire.writer.close()
        with anyio.fail_after(5):
            await side.desk.ended.wait()
        assert side.desk.cancelled == 1


async def test_a_caller_who_hangs_up_while_nobody_reads_its_body_is_noticed(folder: Path) -> None:
    """Its socket is not being read then, so nobody is told by the loop. (What TCP itself does not know yet, since a
    closed connection's last bytes still wait for room in ours, nobody can notice.)
    """
    async with porch(folder, Bounds(look=0.05)) as side:
        side.desk.said = Said(headers=(), steps=(anyio.sleep_forever,), reads=False)
        for port in (0, await side.gateway.open_port("t1")):
            side.desk.begun, side.desk.ended = anyio.Event(), anyio.Event()
            wire = await side.caller(port)
            wire.say(post(b"x" * 30_000_000, bearer(), host=f"127.0.0.1:{port}")[:300_000])
            await side.desk.begun.wait()
            while wire.writer.transport.get_write_buffer_size():  # noqa: ASYNC110  # nobody announces it
                await asyncio.sleep(0)
            wire.writer.close()
            with anyio.fail_after(5):
                await side.desk.ended.wait()


async def test_a_caller_who_never_reads_is_cut_off_and_holds_up_nobody(folder: Path) -> None:
    async with porch(folder, Bounds(unread=0.3)) as side, await side.caller() as deaf:
        side.desk.said = Said(headers=(), steps=(b"x" * 65536,) * 2000)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's own transports have it
        deaf.say(get())
        await side.desk.begun.wait()
        side.desk.ended = anyio.Event()
        side.desk.said = Said()
        assert (await side.ask(get())).status == 200
        with anyio.fail_after(10):
            while side.desk.open:
                side.desk.ended = anyio.Event()
                await side.desk.ended.wait()


async def test_an_answer_may_stream_while_the_body_still_comes(folder: Path) -> None:
    async with porch(folder) as side, await side.caller() as wire:
        received: list[bytes] = []
        pieces: list[AsyncIterator[bytes]] = []

        async def read_some() -> None:
            if not pieces:
                pieces.append(aiter(side.desk.calls[0].body))
            received.append(await anext(pieces[0]))

        side.desk.said = Said(headers=(), steps=(b"1", read_some, b"2", read_some, b"3"), reads=False)
        wire.say(get("/v1/messages", "Transfer-Encoding: chunked", method="POST"))
        await wire.hear_head()
        assert await wire.hear_chunk() == b"1"
        wire.say(b"2\r\nab\r\n")
        assert await wire.hear_chunk() == b"2"
        wire.say(b"2\r\ncd\r\n0\r\n\r\n")
        assert await wire.hear_chunk() == b"3"
        assert received == [b"ab", b"cd"]
