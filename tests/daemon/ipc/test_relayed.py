"""Relayed calls on the socket: bodies in pieces, their bounds, and that a cut one is never taken for a whole one."""

import base64
import json
from pathlib import Path

import anyio
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import PIECE
from aixtivd.ipc.limits import Limits
from aixtivd.ipc.pouring import STOPPING
from aixtivd.ipc.session import STRAY
from peers.held import PATIENCE, Caller, Side, serving


def relay(what: str, *, body: bytes = b"", more: bool = False, account: str = "") -> requests.Relay:
    return requests.Relay(path=f"/v1/{what}", method="POST", body=body, more=more, account=account)


def piece(data: bytes, *, more: bool = True) -> requests.Piece:
    return requests.Piece(data=data, more=more)


async def whole(caller: Caller) -> tuple[replies.Head, bytes]:
    """An answer to its end."""
    head = await caller.hear()
    assert isinstance(head, replies.Head), head
    body = b""
    while isinstance(item := await caller.hear(), replies.Piece):
        body += item.data
    assert isinstance(item, replies.End), item
    return head, body


async def failed(caller: Caller) -> replies.Failure:
    failure = await caller.hear()
    assert isinstance(failure, replies.Failure), failure
    return failure


async def test_a_body_in_pieces_goes_up_and_the_answer_comes_back_in_pieces(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        body = bytes(range(256)) * 800
        parts = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
        caller.say(relay("echo", body=parts[0], more=True))
        caller.say(*[piece(part) for part in parts[1:]], piece(b"", more=False), requests.Hello())
        head = await caller.hear()
        assert head == replies.Head(status=200, headers=(("request-id", "req_1"),), account="claude")
        sizes, back = [], b""
        while isinstance(item := await caller.hear(), replies.Piece):
            sizes.append(len(item.data))
            back += item.data
        assert item == replies.End()
        assert back == body
        assert max(sizes) == PIECE
        assert isinstance(await caller.hear(), replies.Welcome), "what comes behind the body waits for its turn"
        assert side.upstream.calls[0].body.length is None
        assert side.upstream.left == ["/v1/echo"]


async def test_a_body_in_one_message_says_how_long_it_is(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(relay("echo", body=b"all of it", account="claude/work"))
        head, body = await whole(caller)
        assert (head.account, body) == ("claude/work", b"all of it")
        assert side.upstream.calls[0].body.length == 9


async def test_a_call_keeps_everything_that_the_caller_said(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        headers = (("Anthropic-Beta", "a"), ("anthropic-beta", "b"))
        caller.say(
            requests.Relay(
                path="/v1/early?beta=true",
                headers=headers,
                endpoint="https://api.example",
                fallback="none",
                wait=3.0,
                agent="builder-7",
            )
        )
        assert isinstance(await caller.hear(), replies.Failure), "it says nothing that this relay knows"
        (call,) = side.upstream.calls
        assert (call.method, call.path, call.headers) == ("GET", "/v1/early?beta=true", headers)
        assert (call.endpoint, call.fallback, call.wait) == ("https://api.example", "none", 3.0)
        assert call.caller.agent == "builder-7"
        assert call.caller.pid > 0


async def test_the_agent_of_the_header_counts_where_the_request_names_none(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Relay(path="/v1/early", headers=(("X-Agent-Id", "from-the-header"),)))
        await whole(caller)
        caller.say(requests.Relay(path="/v1/early", headers=(("X-Agent-Id", "from-the-header"),), agent="said"))
        await whole(caller)
        assert [call.caller.agent for call in side.upstream.calls] == ["from-the-header", "said"]


async def test_line_mode_relays_in_base64(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as lines:
        first, last = base64.b64encode(b"\xff\0"), base64.b64encode(b"end")
        lines.write(b'{"op":"relay","path":"/v1/echo","method":"POST","body":"%s","more":true}\n' % first)
        lines.write(b'{"op":"piece","data":"%s","more":false}' % last)
        lines.writer.write_eof()  # the last line of a body needs no newline either
        head, told, end = [json.loads(await lines.line()) for _ in range(3)]
        assert (head["re"], head["status"], end["re"]) == ("head", 200, "end")
        assert base64.b64decode(told["data"]) == b"\xff\0end"


@pytest.mark.parametrize("before", [[], [relay("echo", body=b"x")], [requests.Hello()]])
async def test_a_piece_where_no_body_is_open_is_refused_and_the_conversation_goes_on(
    folder: Path, before: list[requests.Request]
) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(*before, piece(b"stray"), piece(b"stray", more=False), requests.Hello())
        heard: list[object] = []
        while len([one for one in heard if one == STRAY]) < 2:
            heard.append(await caller.hear())
        assert isinstance(await caller.hear(), replies.Welcome)


async def test_after_an_early_answer_the_rest_of_the_body_is_dropped(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(relay("early", body=b"x" * PIECE, more=True))
        head, body = await whole(caller)
        assert (head.status, body) == (413, b"too large")
        for _ in range(200):  # twelve megabytes that nobody wants
            caller.say(piece(b"x" * PIECE))
            await caller.writer.drain()
        caller.say(piece(b"", more=False), requests.Hello())
        assert isinstance(await caller.hear(), replies.Welcome)
        (session,) = side.listener._sessions
        assert session._filling is None


async def test_a_failure_before_the_head_is_the_whole_answer(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(relay("fails", body=b"x", more=True), piece(b"y"), piece(b"", more=False), requests.Hello())
        failure = await failed(caller)
        assert (failure.code, failure.retry) == ("unreachable", True)
        assert isinstance(await caller.hear(), replies.Welcome)


async def test_a_failure_after_the_head_comes_instead_of_the_end(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(relay("breaks"), requests.Hello())
        assert isinstance(await caller.hear(), replies.Head)
        assert await caller.hear() == replies.Piece(data=b"half an ")
        assert (await failed(caller)).message == "the API broke off"
        assert isinstance(await caller.hear(), replies.Welcome), "no End"


async def test_an_answer_with_more_header_than_a_message_holds_is_a_failure(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(relay("overloaded"), requests.Hello())
        assert "more than 65536 characters" in (await failed(caller)).message
        assert isinstance(await caller.hear(), replies.Welcome)


@pytest.mark.parametrize("after_the_head", [False, True])
async def test_a_half_close_in_the_middle_of_a_body_fails_the_call(folder: Path, after_the_head: bool) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(relay("hangs" if after_the_head else "echo", body=b"half", more=True))
        if after_the_head:
            assert isinstance(await caller.hear(), replies.Head)
        else:
            await side.upstream.until(lambda: side.upstream.read == [b"half"])
        caller.writer.write_eof()
        failure = await failed(caller)
        assert (failure.code, "not whole" in failure.message) == ("bad_request", True)
        assert await caller.rest() == b""
        assert len(side.upstream.left) == 1


async def test_a_body_that_is_cut_before_its_turn_never_reaches_the_relay(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Token(account="slow"), relay("echo", body=b"half", more=True))
        await side.accounts.until_asked("slow")
        caller.writer.write_eof()
        (session,) = side.listener._sessions
        await side.until(lambda: session._half_closed)
        side.accounts.let_go()
        assert isinstance(await caller.hear(), replies.AccessToken)
        assert "not whole" in (await failed(caller)).message
        assert side.upstream.calls == []


async def test_another_request_in_the_middle_of_a_body_fails_the_call_and_is_answered(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(relay("echo", body=b"half", more=True), requests.Hello(), piece(b"late"))
        assert "another request" in (await failed(caller)).message
        assert isinstance(await caller.hear(), replies.Welcome)
        assert await caller.hear() == STRAY


async def test_a_broken_piece_fails_the_call_and_those_behind_it_are_dropped(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as lines:
        lines.write(b'{"op":"relay","path":"/v1/echo","more":true}\n{"op":"piece","data":"hunter2!"}\n')
        lines.write(b'{"op":"piece","data":"AAAA"}\n{"op":"piece","more":false}\n{"op":"hello"}\n')
        failure, welcome = [json.loads(await lines.line()) for _ in range(2)]
        assert (failure["code"], failure["message"]) == ("bad_request", "data: not a value that is understood")
        assert welcome["re"] == "welcome"
        assert side.upstream.read == []


async def test_garbage_in_the_middle_of_a_body_fails_the_call_and_ends_the_conversation(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(relay("echo", body=b"half", more=True))
        await side.upstream.until(lambda: side.upstream.read == [b"half"])
        caller.write(b"\0\0\0\1\xc1")
        assert [(await failed(caller)).code, (await failed(caller)).code] == ["bad_request"] * 2
        assert await caller.rest() == b""
        assert side.upstream.left == ["/v1/echo"]


async def test_a_caller_that_is_silent_in_the_middle_of_a_body_is_not_waited_for(folder: Path) -> None:
    async with serving(folder, Limits(idle=0.1)) as side, await side.caller() as caller:
        caller.say(relay("echo", body=b"half", more=True))
        assert "did not go on within 0.1 seconds" in (await failed(caller)).message


async def test_a_hang_up_leaves_the_call(folder: Path) -> None:
    async with serving(folder) as side:
        async with await side.caller() as caller:
            caller.say(relay("hangs"))
            assert isinstance(await caller.hear(), replies.Head)
        await side.upstream.until(lambda: side.upstream.left == ["/v1/hangs"])


async def test_a_hang_up_in_the_middle_of_a_body_leaves_the_call_and_the_body_was_never_whole(folder: Path) -> None:
    async with serving(folder) as side:
        async with await side.caller() as caller:
            caller.say(relay("echo", body=b"half", more=True))
            await side.upstream.until(lambda: side.upstream.read == [b"half"])
        await side.upstream.until(lambda: side.upstream.left == ["/v1/echo"])


async def test_a_hang_up_is_noticed_while_the_body_is_not_read(folder: Path) -> None:
    async with serving(folder, Limits(message=0.05, body=PIECE)) as side, await side.caller() as caller:
        caller.say(relay("waits", body=b"x" * PIECE, more=True), *[piece(b"x" * PIECE)] * 20)
        await side.upstream.until(lambda: side.upstream.calls)
        await until_paused(side)
        caller.writer.transport.abort()  # `close` would first wait for what the daemon does not read
        await side.upstream.until(lambda: side.upstream.left == ["/v1/waits"])


async def until_paused(side: Side) -> None:
    (session,) = side.listener._sessions
    await side.until(lambda: not session._reading)


async def test_a_body_is_read_no_faster_than_it_is_taken(folder: Path) -> None:
    """Forty megabytes are offered: what the daemon holds stays within its bound, and the rest in the caller's hands."""
    limits = Limits(body=2 * PIECE)
    async with serving(folder, limits) as side, await side.caller() as caller, await side.caller() as other:
        pieces = 640
        caller.say(relay("waits", more=True), *[piece(b"x" * PIECE)] * pieces, piece(b"", more=False))
        await side.upstream.until(lambda: side.upstream.calls)
        (session,) = [one for one in side.listener._sessions if one._filling is not None]
        await side.until(lambda: not session._reading)
        assert session._filling
        assert session._filling._held < limits.body + PIECE + 1000
        assert len(session._inbox._buffer) < 600_000
        assert caller.writer.transport.get_write_buffer_size() > 30_000_000
        other.say(requests.Token(account="fresh"))
        assert isinstance(await other.hear(), replies.AccessToken), "nobody else waits for it"
        side.upstream.go.set()
        _, told = await whole(caller)
        assert int(told) == pieces * PIECE


async def test_many_tiny_pieces_count_for_what_they_cost(folder: Path) -> None:
    async with serving(folder, Limits(body=10_000)) as side, await side.caller() as caller:
        caller.say(relay("waits", more=True), *[piece(b"x")] * 5000, piece(b"", more=False))
        await side.upstream.until(lambda: side.upstream.calls)
        await until_paused(side)
        (session,) = side.listener._sessions
        assert session._filling
        assert len(session._filling._pieces) < 200
        side.upstream.go.set()
        assert (await whole(caller))[1] == b"5000"


async def test_a_caller_that_stops_reading_its_stream_holds_up_nobody_and_grows_nothing(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as still, await side.caller() as other:
        still.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed: WriteTransport, really both
        still.say(relay("endless"))
        asked = 0
        with anyio.fail_after(PATIENCE):
            while not asked or side.upstream.told > asked:  # until the API is asked for nothing more
                asked = side.upstream.told
                await anyio.sleep(0.1)
        assert side.upstream.told * 200_000 < 4_000_000
        (session,) = [one for one in side.listener._sessions if one._pouring._scope is not None]
        assert session._transport.get_write_buffer_size() < Limits().unread + PIECE + 1000
        other.say(relay("echo", body=b"x"))
        assert (await whole(other))[1] == b"x"
        assert side.upstream.told == asked


async def test_a_relayed_answer_waits_longer_for_its_reader_than_others_do(folder: Path) -> None:
    """A person reads it with a pager."""
    async with serving(folder, Limits(stuck=0.05, idle=0.6)) as side, await side.caller() as caller:
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed: WriteTransport, really both
        caller.say(relay("endless"))
        await side.upstream.until(lambda: side.upstream.calls)
        (session,) = side.listener._sessions
        await side.until(lambda: session._outbox.full)
        began = session._time()
        await side.upstream.until(lambda: side.upstream.left)
        assert 0.4 < session._time() - began < PATIENCE


async def test_a_body_is_read_on_although_nobody_reads_the_answer(folder: Path) -> None:
    """Whoever sends all before it reads must not wait for ever where the answer came early and is large."""
    async with serving(folder, Limits(unread=1000)) as side, await side.caller() as caller:
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed: WriteTransport, really both
        caller.say(relay("endless", more=True))
        await side.upstream.until(lambda: side.upstream.calls)
        (session,) = side.listener._sessions
        await side.until(lambda: session._outbox.full)
        caller.say(piece(b"x", more=False))
        await side.until(lambda: session._filling is None)


async def test_at_the_end_an_answer_whose_body_is_there_comes_to_its_end(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as whole_one, await side.caller() as half:
        whole_one.say(relay("waits", body=b"x"))
        half.say(relay("waits", body=b"x", more=True))
        await side.upstream.until(lambda: len(side.upstream.calls) == 2)
        side.listener.close()
        side.listener.finish()
        assert await half.hear() == STOPPING
        assert await half.rest() == b""
        side.upstream.go.set()
        assert (await whole(whole_one))[1] == b"1"
        assert await whole_one.rest() == b""


async def test_a_thousand_calls_on_one_connection_leave_nothing_behind(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        for _ in range(10):
            caller.say(*[relay("early", body=b"x")] * 100)
            for _ in range(100):
                await whole(caller)
            side.upstream.calls.clear()
        (session,) = side.listener._sessions
        assert (session._scope, session._pouring._scope, session._pouring.body, session._filling) == (
            None,
            None,
            None,
            None,
        )
        assert not session._queue
        assert len(side.upstream.left) == 1000
