"""A caller's body: handed on as it comes, whole, and again where it may have to be."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtivd.errors import BadRequest, Denied
from aixtivd.relay import bodies
from aixtivd.relay.bodies import ALL_KEPT, RESENDABLE, WHOLE, Budget, Kept
from peers.relaying import Pieces

LARGE = WHOLE + 1


def kept(*pieces: bytes | asyncio.Event | Exception, length: int | None = None, budget: Budget | None = None) -> Kept:
    return Kept(Pieces(*pieces, length=length), length, budget or Budget())


async def sent(body: Kept) -> bytes:
    """As the upstream sends it: at once where it is little, else piece by piece."""
    whole = await body.ready()
    return b"".join([piece async for piece in body]) if whole is None else whole


_pieces = st.lists(st.binary(max_size=40_000) | st.just(b""), max_size=6)


@given(_pieces, st.booleans())
async def test_every_byte_is_sent_in_order_and_the_same_again(pieces: list[bytes], said: bool) -> None:
    everything, budget = b"".join(pieces), Budget()
    body = kept(*pieces, length=len(everything) if said else None, budget=budget)
    for _ in range(3):
        assert await sent(body) == everything
        assert body.sent == len(everything)
        body.again()
    body.drop()
    assert budget.left == ALL_KEPT


async def test_a_small_body_is_there_in_one_piece_before_anything_is_sent() -> None:
    assert await kept(b"a", b"b", length=2).ready() == b"ab"
    assert await kept(b"x" * WHOLE, length=WHOLE).ready() == b"x" * WHOLE


async def test_a_large_body_is_not_waited_for_and_its_beginning_is() -> None:
    never = asyncio.Event()
    body = kept(b"", b"begin", never, length=LARGE)
    assert await body.ready() is None
    assert await anext(body) == b""
    assert await anext(body) == b"begin"


async def test_a_body_of_which_nobody_says_the_length_is_not_waited_for() -> None:
    never = asyncio.Event()
    body = kept(b"begin", never)
    assert await body.ready() is None
    assert await anext(body) == b"begin"


async def test_no_body_is_not_asked_for() -> None:
    never = asyncio.Event()
    assert await kept(never, length=0).ready() == b""
    assert await kept().ready() == b""


async def test_the_caller_is_not_read_faster_than_it_is_sent_on() -> None:
    source = Pieces(*[b"x"] * 10, length=None)
    body = Kept(source, None, Budget())
    await body.ready()
    for number in range(1, 11):
        await anext(body)
        assert source.taken == number


@pytest.mark.parametrize("pieces", [[b"ab"], [], [b"a", b"b" * LARGE]])
@pytest.mark.parametrize("more", [1, LARGE * 2])
async def test_a_body_that_ends_too_early_is_no_body(pieces: list[bytes], more: int) -> None:
    body = kept(*pieces, length=sum(map(len, pieces)) + more)
    with pytest.raises(BadRequest, match="the body ended after"):
        await sent(body)
    assert isinstance(body.failure, BadRequest)


@pytest.mark.parametrize("length", [1, LARGE])
async def test_a_body_that_is_longer_than_was_said_is_no_body(length: int) -> None:
    body = kept(b"x" * length, b"y", length=length)
    with pytest.raises(BadRequest, match=f"longer than the {length} bytes"):
        await sent(body)
    assert body.failure


async def test_why_a_caller_failed_stays_and_is_said_again() -> None:
    body = kept(b"x", Denied("the ticket has ended"), length=LARGE)
    await body.ready()
    await anext(body)
    for _ in range(2):
        with pytest.raises(Denied, match="the ticket has ended"):
            await anext(body)
    assert isinstance(body.failure, Denied)


async def test_what_a_caller_failed_with_is_not_shown() -> None:
    body = kept(b"x", OSError("secret"), length=LARGE)
    await body.ready()
    await anext(body)
    with pytest.raises(BadRequest, match=r"^the caller's body broke off \(OSError\)$"):
        await anext(body)


async def test_a_body_above_the_limit_is_sent_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "RESENDABLE", 3 * LARGE)
    budget = Budget()
    piece = b"x" * LARGE
    body = kept(*[piece] * 4, length=4 * LARGE, budget=budget)
    await body.ready()
    for taken in range(1, 4):
        await anext(body)
        assert body.resendable
        assert budget.left == ALL_KEPT - taken * LARGE
    assert await anext(body) == piece
    assert not body.resendable
    assert budget.left == ALL_KEPT
    assert body._pieces == []
    with pytest.raises(StopAsyncIteration):
        await anext(body)
    assert body.sent == 4 * LARGE


async def test_beyond_the_total_nothing_more_is_kept_and_everything_is_sent() -> None:
    budget = Budget(2 * LARGE)
    first, second = (kept(*[b"x" * LARGE] * 2, length=2 * LARGE, budget=budget) for _ in range(2))
    assert len(await sent(first)) == 2 * LARGE
    assert len(await sent(second)) == 2 * LARGE
    assert first.resendable
    assert not second.resendable
    first.drop()
    assert budget.left == 2 * LARGE


def test_the_limits_are_those_that_are_stated() -> None:
    assert RESENDABLE == 32 * 1024 * 1024
    assert ALL_KEPT == 8 * RESENDABLE


async def test_once_it_will_not_be_sent_again_nothing_is_kept_and_the_rest_still_goes() -> None:
    """An answer can begin while the body is still on its way."""
    budget = Budget()
    body = kept(b"a" * LARGE, b"b", b"c", length=LARGE + 2, budget=budget)
    await body.ready()
    await anext(body)
    await anext(body)
    body.again()
    assert await anext(body) == b"a" * LARGE
    body.settle()
    assert budget.left == ALL_KEPT
    assert [piece async for piece in body] == [b"b", b"c"]
    assert body._pieces == []


async def test_what_the_caller_gives_while_its_reader_is_cancelled_is_kept_for_the_next_time() -> None:
    """A cancelled generator would end, and the rest of the body be missing without a word."""
    gate = asyncio.Event()
    body = kept(b"a" * LARGE, gate, b"b", b"c", length=LARGE + 2)
    await body.ready()
    await anext(body)
    reading = asyncio.ensure_future(anext(body))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    body.again()
    assert await anext(body) == b"a" * LARGE
    gate.set()
    assert [piece async for piece in body] == [b"b", b"c"]


async def test_a_body_that_is_dropped_waits_for_its_caller_no_longer() -> None:
    ended = asyncio.Event()

    waits = asyncio.Event()

    class Endless(Pieces):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                yield b"x"
                waits.set()
                await asyncio.Event().wait()
            finally:
                ended.set()

    body = Kept(Endless(), None, Budget())
    await body.ready()
    await anext(body)
    reading = asyncio.ensure_future(anext(body))
    await waits.wait()
    body.drop()
    await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await reading
