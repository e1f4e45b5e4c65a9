"""The client library against the real socket: bodies of any size, both ways at once, and what hanging up means."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import pytest

from aixtiv.client import Client
from aixtiv.failures import AixtivError, Denied, Unreachable
from aixtiv_protocol.secret import Secret
from peers.held import PATIENCE, Side, serving

T = TypeVar("T")


async def with_client(side: Side, act: Callable[[Client], T]) -> T:
    side.path.chmod(0o600)

    def run() -> T:
        with Client(str(side.path)) as client:
            return act(client)

    with anyio.fail_after(PATIENCE):
        return await anyio.to_thread.run_sync(run)


async def test_a_large_body_goes_up_and_comes_back(folder: Path) -> None:
    body = bytes(range(256)) * 40_000

    def act(client: Client) -> tuple[int, bytes]:
        with client.relay("/v1/echo", method="POST", body=body) as relayed:
            return relayed.status, relayed.read()

    async with serving(folder) as side:
        assert await with_client(side, act) == (200, body)
        assert side.upstream.calls[0].headers == (("content-length", str(len(body))),)


async def test_a_large_early_answer_is_read_while_the_body_waits(folder: Path) -> None:
    """The daemon takes nothing more of the body, since the API does not, and the API waits to be read."""

    def act(client: Client) -> int:
        with client.relay("/v1/endless", method="POST", body=b"x" * 30_000_000) as relayed:
            return sum(len(next(relayed)) for _ in range(200))

    async with serving(folder) as side:
        assert await with_client(side, act) > 3_000_000
        await side.upstream.until(lambda: side.upstream.left == ["/v1/endless"])


async def test_a_slow_api_is_waited_for(folder: Path) -> None:
    def act(client: Client) -> bytes:
        with client.relay("/v1/waits", method="POST", body=iter([b"x" * 1_000_000] * 5)) as relayed:
            return relayed.read()

    async with serving(folder) as side, anyio.create_task_group() as tasks:

        async def open_up() -> None:
            await side.upstream.until(lambda: side.upstream.calls)
            (session,) = side.listener._sessions
            await side.until(lambda: not session._reading)
            side.upstream.go.set()

        tasks.start_soon(open_up)
        assert await with_client(side, act) == b"5000000"


@pytest.mark.parametrize(
    ("what", "kind", "sentence"),
    [
        ("fails", Unreachable, "cannot be reached"),
        ("breaks", Unreachable, "broke off"),
        ("overloaded", AixtivError, "headers"),
    ],
)
async def test_a_failure_is_raised_and_never_a_short_answer(
    folder: Path, what: str, kind: type[Exception], sentence: str
) -> None:
    def act(client: Client) -> None:
        with pytest.raises(kind, match=sentence):
            client.relay(f"/v1/{what}", method="POST", body=b"x" * 3_000_000).read()

    async with serving(folder) as side:
        await with_client(side, act)


async def test_closing_it_cancels_the_call(folder: Path) -> None:
    async with serving(folder) as side:
        await with_client(side, lambda client: client.relay("/v1/hangs").close())
        await side.upstream.until(lambda: side.upstream.left == ["/v1/hangs"])


async def test_tickets_audit_usage_and_examination(folder: Path) -> None:
    def act(client: Client) -> None:
        assert client.ticket(name="x", port=True).base_url == "http://127.0.0.1:40001"
        assert [ticket.id for ticket in client.tickets()] == ["t1"]
        assert client.revoke_ticket("twins").note == "2 tickets have ended"
        assert [record.number for record in client.audit(2)] == [1, 2]
        assert client.audit_verify().intact
        assert client.usage(7).since == 7
        assert client.examine("a").findings[0].account == "a"

    async with serving(folder) as side:
        await with_client(side, act)


async def test_who_may_not_is_told_so(folder: Path) -> None:
    def act(client: Client) -> None:
        with pytest.raises(Denied):
            client.token(ticket=Secret("aixtiv-ticket-bad"))

    async with serving(folder) as side:
        await with_client(side, act)
