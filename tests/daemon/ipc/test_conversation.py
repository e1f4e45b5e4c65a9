"""One caller's conversation: what is asked is answered, in order, and other callers notice nothing."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.errors import SignInNeeded
from aixtivd.ipc.pouring import STOPPING
from peers.held import PATIENCE, serving


async def test_a_token_in_memory_is_answered_in_both_modes_and_bare(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as frames, await side.caller() as lines:
        frames.say(requests.Token(account="fresh"), requests.Token(account="fresh", form="bare"))
        assert await frames.hear() == replies.AccessToken(account="fresh", access_token=Secret("token-of-fresh"))
        assert await frames.hear() == Secret("token-of-fresh")
        lines.write(b'{"op":"token","account":"fresh"}\n{"op":"token","account":"fresh","form":"bare"}\n')
        assert json.loads(await lines.line())["access_token"] == "token-of-fresh"
        assert await lines.line() == "token-of-fresh\n"
        assert side.accounts.asked == []


async def test_a_message_may_come_byte_by_byte(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as lines:
        for byte in b'{"op":"hello"}\n':
            lines.write(bytes([byte]))
            await lines.writer.drain()
            await asyncio.sleep(0)
        assert json.loads(await lines.line())["re"] == "welcome"


async def test_replies_come_in_the_order_of_the_requests(folder: Path) -> None:
    """A token that is in memory does not overtake an answer that is still awaited."""
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Token(account="slow"), requests.Token(account="fresh"), requests.Hello())
        await side.accounts.until_asked("slow")
        side.accounts.let_go()
        heard = [await caller.hear() for _ in range(3)]
        assert [getattr(reply, "account", "") for reply in heard] == ["slow", "fresh", ""]
        assert isinstance(heard[2], replies.Welcome)


async def test_a_caller_who_waits_is_nobody_elses_business(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as waiting, await side.caller() as quick:
        waiting.say(requests.Token(account="slow"))
        await side.accounts.until_asked("slow")
        quick.say(requests.Token(account="fresh"))
        assert isinstance(await quick.hear(), replies.AccessToken)


async def test_a_thousand_requests_at_once_are_answered_one_by_one(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        for _ in range(500):
            caller.say(requests.Token(account="fresh"), requests.Status())
        heard = [type(await caller.hear()) for _ in range(1000)]
        assert heard == [replies.AccessToken, replies.DaemonStatus] * 500


async def test_a_half_close_is_not_a_hang_up(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Token(account="slow"), requests.Hello())
        caller.writer.write_eof()
        await side.accounts.until_asked("slow")
        side.accounts.let_go()
        assert isinstance(await caller.hear(), replies.AccessToken)
        assert isinstance(await caller.hear(), replies.Welcome)
        with pytest.raises(EOFError):
            await caller.hear()


async def test_nc_gets_its_late_answer_after_it_has_shut_down_its_side(folder: Path) -> None:
    """`nc -N` shuts down at the end of its input; its last line needs no newline."""
    async with serving(folder) as side:
        nc = await asyncio.create_subprocess_exec(
            "nc", "-N", "-U", side.path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        said = asyncio.ensure_future(nc.communicate(b'{"op":"token","account":"slow","form":"bare"}'))
        await side.accounts.until_asked("slow")
        side.accounts.let_go()
        out, _ = await asyncio.wait_for(said, PATIENCE)
        assert (out, nc.returncode) == (b"token-of-slow\n", 0)


async def test_a_hang_up_ends_only_this_callers_waiting(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as stays:
        stays.say(requests.Token(account="slow-b"))
        await side.accounts.until_asked("slow-b")
        async with await side.caller() as leaves:
            leaves.say(requests.Token(account="slow-a"))
            await side.accounts.until_asked("slow-b", "slow-a")
        await side.accounts.until(lambda: side.accounts.cancelled == ["slow-a"])
        side.accounts.let_go()
        assert isinstance(await stays.hear(), replies.AccessToken)


async def test_a_stream_goes_on_until_the_caller_hangs_up(folder: Path) -> None:
    async with serving(folder) as side:
        async with await side.caller() as caller:
            caller.say(requests.Watch())
            await side.accounts.until(lambda: side.accounts.watchers == 1)
            for number in range(3):
                side.accounts.told.put_nowait(replies.Event(event="refreshed", at=number))
                assert await caller.hear() == replies.Event(event="refreshed", at=number)
        await side.accounts.until(lambda: side.accounts.watchers == 0)


async def test_a_stream_that_fails_ends_with_the_failure_and_the_conversation_goes_on(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        side.accounts.failure = SignInNeeded("the grant of x is over", hint="aixtiv login x")
        caller.say(requests.Watch(), requests.Hello())
        side.accounts.told.put_nowait(replies.Event(event="locked", at=1))
        assert await caller.hear() == replies.Failure(
            code="sign_in_needed", message="the grant of x is over", hint="aixtiv login x"
        )
        assert isinstance(await caller.hear(), replies.Welcome)


async def test_a_defect_is_one_failure_and_its_text_is_nowhere(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aixtivd")
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Token(account="broken"), requests.Hello())
        failure = await caller.hear()
        assert isinstance(failure, replies.Failure)
        assert (failure.code, "TypeError" in failure.message) == ("internal", True)
        assert isinstance(await caller.hear(), replies.Welcome)
    records = [record.__dict__ for record in caplog.records if record.message == "defect"]
    assert [record["facts"]["exception"] for record in records] == ["TypeError"]
    assert "held.py:" in records[0]["facts"]["where"]
    assert "hunter2" not in failure.message + str(records)


async def test_stop_is_answered_and_reaches_the_daemon(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Stop())
        assert isinstance(await caller.hear(), replies.Done)
        assert side.controls.stopped.is_set()


async def test_at_the_end_what_is_outstanding_is_answered_and_nothing_new(folder: Path) -> None:
    async with (
        serving(folder) as side,
        await side.caller() as waiting,
        await side.caller() as watching,
        await side.caller() as idle,
    ):
        waiting.say(requests.Token(account="slow"), requests.Hello())
        watching.say(requests.Watch())
        idle.say(requests.Hello())
        await side.accounts.until_asked("slow")
        await side.accounts.until(lambda: side.accounts.watchers == 1)
        await idle.hear()
        side.listener.close()
        side.listener.finish()
        assert await watching.hear() == STOPPING
        assert await watching.rest() == b""
        assert await idle.rest() == b""
        waiting.say(requests.Hello(client="too late"))
        side.accounts.let_go()
        assert isinstance(await waiting.hear(), replies.AccessToken)
        assert isinstance(await waiting.hear(), replies.Welcome)
        assert await waiting.rest() == b""
