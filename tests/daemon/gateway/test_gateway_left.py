"""The gateway's doors, left to the next daemon: whoever knocks in between waits, and is answered by that."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from aixtivd.config import ClaudeConfig, Config
from aixtivd.gateway import doors
from aixtivd.gateway.doors import FAMILIES, Door, port_door
from aixtivd.gateway.gateway import Gateway
from aixtivd.host.activation import GATEWAY, TICKET, Handed
from aixtivd.host.loopback import bound
from aixtivd.host.succession import Left, Will
from peers.porch import GOOD, Porch, bearer, get, porch
from peers.ports import free_port


def handed(left: tuple[Left, ...], will: Will) -> Handed:
    """As `activation` sorts them; copies, since the first gateway's own are closed with it."""
    tcp = [one for one in left if one.socket.family.name != "AF_UNIX"]
    return Handed(
        gateway=next((one.socket.dup() for one in left if one not in tcp), None),
        ports=tuple(one.socket.dup() for one in tcp if one.name == GATEWAY),
        doors=tuple(one.socket.dup() for one in tcp if one.name == TICKET),
        will=will,
    )


@asynccontextmanager
async def leaving(side: Porch) -> AsyncIterator[tuple[tuple[Left, ...], Will]]:
    """What it leaves; an execution closes what is left of that."""
    left, will = await side.gateway.leave()
    try:
        yield left, will
    finally:
        for one in left:
            one.socket.close()


@asynccontextmanager
async def next_one(before: Porch, given: Handed, port: int = 0) -> AsyncIterator[Gateway]:
    """Another gateway, in front of the same desk."""
    config = Config(claude=ClaudeConfig(port=port))
    made = Gateway(before.gateway._relay, before.gateway._tickets, before.gateway._denials._audit, config)
    async with anyio.create_task_group() as tasks:
        await tasks.start(made.run, before.path, given)
        yield made
        tasks.cancel_scope.cancel()


async def test_who_knocks_in_between_is_answered_by_the_next_on_every_door(folder: Path) -> None:
    port = free_port()
    async with AsyncExitStack() as stack, porch(folder, port=port) as side:
        own = await side.gateway.open_port("t1")
        left, will = await stack.enter_async_context(leaving(side))
        assert will.fixed[0] == port
        assert will.doors == {own: "t1"}
        async with await side.caller() as a, await side.caller(port) as b, await side.caller(own) as c:
            a.say(get())
            b.say(get("/v1/models", bearer(GOOD), host=f"127.0.0.1:{port}"))
            c.say(get("/v1/models", bearer(GOOD), host=f"127.0.0.1:{own}"))
            await side.gateway.finish()
            async with next_one(side, handed(left, will), port) as after:
                assert [(await wire.hear()).status for wire in (a, b, c)] == [200, 200, 200]
                assert (after.path, after.port, after.problem) == (side.path, port, "")
                assert (await side.ask(get())).status == 200
        assert not side.path.exists(), "the path is the next one's to remove"


async def test_what_is_being_answered_comes_to_its_end(folder: Path) -> None:
    async with AsyncExitStack() as stack, porch(folder) as side, await side.caller() as wire:
        wire.say(get())
        assert (await wire.hear()).status == 200
        await stack.enter_async_context(leaving(side))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(side.gateway.finish)
            assert (await wire.hear()).status == 0, "and is told that nothing more is answered"


async def test_the_port_of_a_ticket_that_has_ended_is_closed(folder: Path) -> None:
    async with AsyncExitStack() as stack, porch(folder) as side:
        await side.gateway.open_port("t1")
        left, will = await stack.enter_async_context(leaving(side))
        del side.tickets.tickets[GOOD]
        given = handed(left, will)
        async with next_one(side, given) as after:
            assert [door.port for door in after._doors] == [0]
            assert given.doors[0].fileno() == -1


@pytest.mark.parametrize("now", [0, 1])
async def test_a_port_that_the_config_no_longer_wants_is_closed(folder: Path, now: int) -> None:
    port, other = free_port(), free_port() * now
    async with AsyncExitStack() as stack, porch(folder, port=port) as side:
        left, will = await stack.enter_async_context(leaving(side))
        async with next_one(side, handed(left, will), other) as after:
            assert {door.port for door in after._doors} == {0, other}
            assert after.port == other


async def test_a_managers_port_stays_whatever_the_config_says(folder: Path) -> None:
    port = free_port()
    async with AsyncExitStack() as stack, porch(folder, port=port) as side:
        left, will = await stack.enter_async_context(leaving(side))
        async with next_one(side, handed(left, Will(inodes=will.inodes))) as after:
            assert (after.port, port in {door.port for door in after._doors}) == (port, True)


async def test_where_nothing_comes_of_it_the_doors_are_given_up_after_all(folder: Path) -> None:
    async with porch(folder) as side:
        await side.gateway.leave()
        await side.gateway.close()
        assert not side.path.exists()


async def test_a_door_that_is_left_before_it_was_open_takes_nobody() -> None:
    """Whoever knocks there is the next daemon's."""

    async def admit(_: Door, connection: socket.socket) -> None:
        connection.close()
        raise AssertionError("somebody was let in")

    door = port_door(0, ticket="t1")
    await door.leave()
    with door.listening, socket.create_connection(("127.0.0.1", door.port)), anyio.fail_after(5):
        await door.run(admit, 0.1)


async def test_a_config_that_is_read_again_meanwhile_opens_no_port(folder: Path) -> None:
    async with AsyncExitStack() as stack, porch(folder) as side:
        await stack.enter_async_context(leaving(side))
        await side.gateway.reconfigure(Config(claude=ClaudeConfig(port=free_port())))
        assert side.gateway.port == 0


@pytest.mark.skipif(not doors._has(FAMILIES["::1"], "::1"), reason="this machine has no ::1")
@pytest.mark.parametrize("handed_over", ["127.0.0.1", "::1"])
async def test_of_the_two_loopbacks_the_one_that_a_service_manager_left_out_is_opened_beside_it(
    folder: Path, handed_over: str
) -> None:
    port, other = free_port(), free_port()
    async with porch(folder) as side:
        listening = bound(FAMILIES[handed_over], handed_over, port)
        async with next_one(side, Handed(ports=(listening,)), port) as after:
            assert (after.port, after._problems["port"]) == (port, "")
            assert {door.host for door in after._doors if door.port} == set(FAMILIES)
            for host in FAMILIES:
                async with await anyio.connect_tcp(host, port):
                    pass
            # What the service manager goes on listening on stays open whole: nobody else may come to sit beside it.
            await after.reconfigure(Config(claude=ClaudeConfig(port=other)))
            assert {(door.host, door.port) for door in after._doors if door.port} == {
                (host, number) for host in FAMILIES for number in (port, other)
            }
