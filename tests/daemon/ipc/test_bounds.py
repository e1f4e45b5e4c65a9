"""What a caller can cost: deadlines, caps and bounded buffers, and that a last Failure arrives."""

import asyncio
import json
import time
from pathlib import Path

import anyio
import pytest

from aixtiv_protocol import codec, replies, requests
from aixtivd.ipc.limits import Limits
from peers.held import PATIENCE, Caller, Side, serving

FRAME = codec.encode_request(requests.Hello())


async def the_failure(caller: Caller) -> replies.Failure:
    """The only thing left to hear: a Failure, then the end."""
    failure = await caller.hear()
    assert isinstance(failure, replies.Failure)
    assert await caller.rest() == b""
    return failure


@pytest.mark.parametrize("begun", [b"\0", FRAME[:3], FRAME[:-1], FRAME + FRAME[:-1]])
async def test_a_frame_that_does_not_become_whole_ends_the_conversation(folder: Path, begun: bytes) -> None:
    async with serving(folder, Limits(message=0.05)) as side, await side.caller() as caller:
        caller.write(begun)
        if begun.startswith(FRAME):
            assert isinstance(await caller.hear(), replies.Welcome)
        assert "within 0.05 seconds" in (await the_failure(caller)).message


async def test_a_byte_now_and_then_does_not_prolong_the_deadline_of_a_message(folder: Path) -> None:
    async with serving(folder, Limits(message=0.2)) as side, await side.caller() as caller:
        began = time.monotonic()
        caller.write(b'{"op":"hel')
        while not caller.reader.at_eof() and time.monotonic() - began < PATIENCE:
            caller.write(b"l")
            with anyio.move_on_after(0.02):
                if line := await caller.reader.readline():
                    assert json.loads(line)["code"] == "bad_request"
                    break
        assert time.monotonic() - began < 2


async def test_an_idle_caller_is_let_go_without_a_word(folder: Path) -> None:
    async with serving(folder, Limits(idle=0.05)) as side, await side.caller() as caller:
        caller.say(requests.Hello())
        await caller.hear()
        assert await caller.rest() == b""


async def test_a_caller_who_waits_for_an_answer_is_not_idle(folder: Path) -> None:
    async with serving(folder, Limits(idle=0.05, message=0.05)) as side, await side.caller() as caller:
        caller.say(requests.Token(account="slow"))
        await side.accounts.until_asked("slow")
        await anyio.sleep(0.3)  # several times what an idle caller has
        side.accounts.let_go()
        assert isinstance(await caller.hear(), replies.AccessToken)


async def test_a_caller_who_half_closed_and_then_went_away_is_noticed(folder: Path) -> None:
    async with serving(folder, Limits(message=0.05)) as side:
        async with await side.caller() as caller:
            caller.say(requests.Token(account="slow"))
            caller.writer.write_eof()
            await side.accounts.until_asked("slow")
            await anyio.sleep(0.2)
            assert side.accounts.cancelled == []
        await side.accounts.until(lambda: side.accounts.cancelled == ["slow"])


async def test_a_caller_who_never_reads_is_dropped_and_its_answers_are_bounded(folder: Path) -> None:
    limits = Limits(stuck=0.5, queued=4, unread=65536)
    async with serving(folder, limits) as side, await side.caller() as greedy, await side.caller() as other:
        for caller in (greedy, other):  # both conversations have begun
            caller.say(requests.Token(account="fresh"))
            assert isinstance(await caller.hear(), replies.AccessToken)
        greedy.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed: WriteTransport, really both
        with pytest.raises(ConnectionError):  # noqa: PT012  # it comes some time after the bounds were seen to hold
            while True:
                greedy.say(*[requests.Accounts()] * 100)
                await asyncio.wait_for(greedy.writer.drain(), PATIENCE)
                for session in side.listener._sessions:
                    assert len(session._queue) <= limits.queued
                    assert session._transport.get_write_buffer_size() < limits.unread + 40_000
        other.say(requests.Token(account="fresh"))
        assert isinstance(await other.hear(), replies.AccessToken)


async def test_a_caller_who_reads_slowly_is_served_to_the_end(folder: Path) -> None:
    """The buffer is full for several times what a stuck caller has, and moves all the while."""
    limits = Limits(stuck=0.6, unread=1_000_000)
    async with serving(folder, limits) as side, await side.caller() as caller:
        caller.say(*[requests.Accounts()] * 60)
        caller.writer.write_eof()
        total = 0
        while data := await asyncio.wait_for(caller.reader.read(16384), PATIENCE):
            total += len(data)
            await anyio.sleep(0.02)
        assert total > 60 * 30_000


async def test_requests_beyond_the_bound_wait_in_the_callers_own_socket(folder: Path) -> None:
    async with serving(folder, Limits(queued=8)) as side, await side.caller() as caller:
        caller.say(requests.Token(account="slow"), *[requests.Hello(agent="x" * 1000)] * 2000)
        await side.accounts.until_asked("slow")
        await anyio.sleep(0.05)
        (session,) = side.listener._sessions
        assert 0 < len(session._queue) <= 8
        assert not session._reading
        assert caller.writer.transport.get_write_buffer_size() > 1_000_000
        side.accounts.let_go()
        assert isinstance(await caller.hear(), replies.AccessToken)
        for _ in range(2000):
            assert isinstance(await caller.hear(), replies.Welcome)


@pytest.mark.parametrize("mode", ["frames", "lines"])
async def test_one_caller_too_many_is_told_so_in_its_own_mode(folder: Path, mode: str) -> None:
    async with serving(folder, Limits(connections=1)) as side:
        async with await side.caller() as first:
            first.say(requests.Hello())
            await first.hear()
            async with await side.caller() as second:
                second.write(FRAME if mode == "frames" else b'{"op":"hello"}\n')
                failure = await the_failure(second) if mode == "frames" else json.loads(await second.line())
                assert "as many callers as it takes" in str(failure)
        await until_alone(side)
        async with await side.caller() as third:
            third.say(requests.Hello())
            assert isinstance(await third.hear(), replies.Welcome)


async def until_alone(side: Side) -> None:
    with anyio.fail_after(PATIENCE):
        await side.listener.empty()


async def test_beyond_those_nobody_is_even_told(folder: Path) -> None:
    limits = Limits(connections=0, turned_away=1)
    async with serving(folder, limits) as side, await side.caller(), await side.caller() as second:
        assert await second.rest() == b""


async def test_a_request_this_daemon_does_not_know_gets_a_hint_and_the_next_is_answered(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as lines:
        lines.write(
            b'{"op":"teleport"}\n{"op":"hello","weight":1}\n{"op":"token","min_ttl":"hunter2"}\n{"op":"hello"}\n'
        )
        unknown, field, wrong, known = [json.loads(await lines.line()) for _ in range(4)]
        assert (unknown["code"], unknown["hint"]) == ("bad_request", "restart it")
        assert (field["code"], field["hint"]) == ("bad_request", "restart it")
        assert (wrong["code"], wrong.get("hint")) == ("bad_request", None)
        assert "hunter2" not in str(wrong)
        assert known["re"] == "welcome"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bad_request"),
        (b"{not json\n", "bad_request"),
        (b"\0\0\0\1\xc1", "bad_request"),
        (b"\0\4\0\1", "too_large"),
        (b"\0\xff\xff\xff", "too_large"),
        (b'{"op":"' + b"x" * (256 * 1024), "too_large"),
        (b"\0\x01\x00\x00" + b"\x91" * 65536, "bad_request"),
        (b'{"a":' * 30_000 + b"\n", "bad_request"),
    ],
)
async def test_garbage_gets_a_failure_that_arrives_however_much_junk_is_behind_it(
    folder: Path, said: bytes, code: str
) -> None:
    """Closing a Unix socket that holds unread bytes resets it: so the daemon reads on until the caller closes."""
    async with serving(folder) as side, await side.caller() as caller:
        caller.write(said)
        for _ in range(16):
            caller.write(b"junk" * 16384)
        heard = caller.hear() if said.startswith(b"\0") else caller.line()
        failure = await heard
        told = failure.code if isinstance(failure, replies.Failure) else json.loads(str(failure))["code"]
        assert told == code
        await caller.writer.drain()
        assert await caller.rest() == b""


async def test_a_last_failure_waits_for_the_answers_before_it(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Token(account="slow"))
        caller.write(b"\0\xff\xff\xff")
        await side.accounts.until_asked("slow")
        side.accounts.let_go()
        assert isinstance(await caller.hear(), replies.AccessToken)
        assert (await the_failure(caller)).code == "too_large"


async def test_a_stream_is_ended_by_garbage_behind_it(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Watch())
        await side.accounts.until(lambda: side.accounts.watchers == 1)
        caller.write(b"\0\xff\xff\xff")
        assert (await the_failure(caller)).code == "too_large"
        await side.accounts.until(lambda: side.accounts.watchers == 0)


async def test_half_a_frame_and_then_the_end_is_a_failure(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.write(FRAME + FRAME[:-1])
        caller.writer.write_eof()
        assert isinstance(await caller.hear(), replies.Welcome)
        assert "half-way" in (await the_failure(caller)).message


async def test_whoever_does_not_leave_after_the_last_failure_is_put_out(folder: Path) -> None:
    async with serving(folder, Limits(farewell=0.05)) as side, await side.caller() as caller:
        caller.write(b"\0\xff\xff\xff")
        assert (await the_failure(caller)).code == "too_large"
        await until_alone(side)
