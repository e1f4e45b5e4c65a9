"""A relayed call does not outlive the ticket that it showed, wherever it is."""

from pathlib import Path

import pytest

from aixtiv_protocol import replies, requests
from peers.held import Caller, serving
from peers.relayed import GOOD

OVER = replies.Failure(code="denied", message="the ticket of this request has ended", hint="aixtiv ticket list")


async def to_the_failure(caller: Caller) -> replies.Failure:
    while not isinstance(item := await caller.hear(), replies.Failure):
        pass
    return item


@pytest.mark.parametrize(
    ("what", "more", "began"),
    [
        ("waits", False, "before its head"),
        ("echo", True, "while its body is sent"),
        ("hangs", False, "between two pieces"),
        ("endless", False, "while its answer pours"),
    ],
)
async def test_a_call_ends_with_its_ticket_and_the_conversation_goes_on(
    folder: Path, what: str, more: bool, began: str
) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        asked = requests.Relay(path=f"/v1/{what}", method="POST", body=b"x", more=more, ticket=GOOD)
        caller.say(asked)
        await side.upstream.until(lambda: side.upstream.calls)
        if what in {"hangs", "endless"}:
            assert isinstance(await caller.hear(), replies.Head)
        side.drawer.end()
        assert await to_the_failure(caller) == OVER, began
        assert side.upstream.left == [f"/v1/{what}"]
        if not more:
            caller.say(requests.Hello())
            assert isinstance(await caller.hear(), replies.Welcome)


async def test_calls_without_that_ticket_go_on(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Relay(path="/v1/waits", method="POST"))
        await side.upstream.until(lambda: side.upstream.calls)
        side.drawer.end()
        side.upstream.go.set()
        assert isinstance(await caller.hear(), replies.Head)


async def test_a_call_that_is_over_leaves_nothing_behind(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Relay(path="/v1/early", ticket=GOOD))
        while not isinstance(await caller.hear(), replies.End):
            pass
        assert side.listener._dispatch._calls.leases._running == {}
