"""Calls that are cut off from within: the vault is locked, and nothing of their credentials may stay."""

import asyncio
import gc
from types import FunctionType, ModuleType

import anyio
import anyio.lowlevel
import pytest

from aixtivd.errors import AixtivError, Locked
from aixtivd.relay import relay
from aixtivd.relay.call import Answer
from aixtivd.relay.passage import Passage
from peers.claude import Claude, Weather
from peers.relaying import STREAM, VERSION, Around, Pieces, called, hello, relaying

WHY = "the vault was locked meanwhile"


async def cut(around: Around) -> None:
    await around.relay.cut(Locked(WHY))


async def heard(around: Around, failures: list[AixtivError], **changed: object) -> None:
    try:
        await around.get(hello(**changed))
    except AixtivError as failure:
        failures.append(failure)


@pytest.mark.parametrize(("weather", "status"), [(Weather(hang=True), 0), (Weather(silence=3), 200)])
async def test_a_call_that_waits_is_ended_with_the_sentence_and_hangs_up_upstream(
    weather: Weather, status: int
) -> None:
    failures: list[AixtivError] = []
    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(weather)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: heard(around, failures, body=STREAM))
            await claude.until(silent=1)
            (passage,) = around.relay._under_way
            while status and passage.sent is None:  # its head is on its way
                await anyio.lowlevel.checkpoint()
            await cut(around)
            assert not around.relay.busy, "it is over when `cut` returns"
        await claude.until(gone=1)
        assert [(type(failure), failure.sentence) for failure in failures] == [(Locked, WHY)]
        assert {name: around.ledger.last[name] for name in ("ok", "status", "kind", "account")} == {
            "ok": False,
            "status": status,
            "kind": "oauth",
            "account": "anthropic",
        }


async def test_a_call_that_still_sends_is_ended_with_the_sentence() -> None:
    failures: list[AixtivError] = []
    async with Claude() as claude, relaying(claude.url) as around:
        body = Pieces(b"x" * 100_000, asyncio.Event(), length=None)

        async def send() -> None:
            try:
                await around.get(called("POST", "/v1/files", VERSION, body=body))
            except AixtivError as failure:
                failures.append(failure)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            while not body.taken:  # noqa: ASYNC110  # the body sets no event
                await anyio.sleep(0.005)
            await anyio.wait_all_tasks_blocked()
            await cut(around)
        assert [failure.sentence for failure in failures] == [WHY]


def holds(*roots: object) -> bool:
    """Whether the credential can be found from there, in whatever form: every object that is held is looked at."""
    secret, seen, todo = "sk-ant-oat01-1", set[int](), list(roots)
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType | asyncio.AbstractEventLoop):
            continue
        seen.add(id(thing))
        if (isinstance(thing, str) and secret in thing) or (isinstance(thing, bytes) and secret.encode() in thing):
            return True
        todo += gc.get_referents(thing)
    return False


async def read(answer: Answer) -> None:
    async for _ in answer.pieces:
        pytest.fail("it reads on")


async def test_a_call_cut_off_leaves_no_credential_though_its_caller_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "_GONE", 0.05)

    async def stuck(around: Around, claude: Claude) -> None:
        async with around.relay.call(hello(body=STREAM)) as answer:
            await claude.until(silent=1)
            (passage,) = around.relay._under_way
            sent = passage.sent
            assert sent is not None
            here = (passage, sent, around.relay._upstream)
            assert holds(*here), "its credential is still there"
            await cut(around)
            assert (passage.credential, around.relay._upstream._line) == (None, None)
            assert not holds(*here)
            await read(answer)

    async with Claude() as claude, relaying(claude.url) as around:
        claude.set_weather(Weather(silence=3))
        with pytest.raises(Locked, match=WHY):
            await stuck(around, claude)
        assert around.ledger.last["kind"] == "oauth"


async def test_an_answer_that_had_come_whole_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_GONE", 0.05)

    async def late(around: Around, claude: Claude) -> None:
        async with around.relay.call(hello()) as answer:
            await claude.until(over=1)
            await anyio.wait_all_tasks_blocked()
            await cut(around)
            await read(answer)

    async with Claude() as claude, relaying(claude.url) as around:
        with pytest.raises(Locked, match=WHY):
            await late(around, claude)


async def test_a_call_that_ends_otherwise_when_it_is_cut_is_ended_with_the_sentence_too() -> None:
    """What a cancelled call raises is not ours alone to say."""
    task = asyncio.current_task()
    assert task is not None
    passage = Passage(hello())

    async def passing() -> None:
        try:
            asyncio.get_running_loop().call_soon(passage.cut, Locked(WHY))
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError from None

    with pytest.raises(Locked, match=WHY):
        await passage.until_answered(passing())
    assert task.cancelling() == 0


async def test_the_next_call_goes_another_way() -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        assert (await around.get(hello())).status == 200
        await cut(around)
        assert (await around.get(hello())).status == 200
        assert not around.relay.busy
        assert around.relay.begun == 2


async def test_while_a_lock_waits_no_call_begins() -> None:
    async with Claude() as claude, relaying(claude.url) as around:
        around.relay.refuses = lambda: True
        with pytest.raises(Locked):
            await around.get(hello())
        assert not claude.requests
        assert not around.ledger.last["ok"]
        around.relay.refuses = lambda: False
        assert (await around.get(hello())).status == 200
