"""How the gateway opens, closes and is reconfigured, and what callers that only take up room cost."""

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from aixtivd.config import ClaudeConfig, Config
from aixtivd.errors import Busy, Denied
from aixtivd.gateway.bounds import Bounds
from peers.porch import PATIENCE, Porch, Said, bearer, get, porch, post
from peers.ports import free_port

NOBODY = 65534


async def test_the_socket_is_there_while_it_runs_and_for_us_alone(folder: Path) -> None:
    async with porch(folder) as side:
        assert side.gateway.path == side.path
        assert (side.path.stat().st_mode & 0o777, side.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not side.path.exists()


async def test_a_dead_gateways_socket_is_replaced(folder: Path) -> None:
    (folder / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "run/claude.sock"))
    async with porch(folder) as side:
        assert (await side.ask(get())).status == 200


async def test_a_living_ones_is_not_and_the_daemon_goes_on_without(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with porch(folder) as first:
        async with porch(folder) as second:
            assert second.gateway.path is None
            assert second.gateway.problem == f"another daemon listens at {first.path} already"
            assert await second.gateway.open_port("t1")
        assert (await first.ask(get())).status == 200
    assert [record.message for record in caplog.records] == ["gateway-closed"]


async def test_a_path_that_is_too_long_is_a_sentence(folder: Path) -> None:
    async with porch(folder / ("x" * 100)) as side:
        assert side.gateway.path is None
        assert "longer than the" in side.gateway.problem


async def test_a_fixed_port_serves_every_ticket_on_both_loopbacks(folder: Path) -> None:
    port = free_port()
    async with porch(folder, port=port) as side:
        assert (side.gateway.port, side.gateway.problem) == (port, "")
        for secret in ("t4", "t5"):
            shown = bearer(side.tickets.add(secret))
            assert (await side.ask(get("/v1/models", shown, host=f"127.0.0.1:{port}"), port)).status == 200
        assert (await side.ask(get(host=f"127.0.0.1:{port}"), port)).status == 401
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as six:  # where the machine has IPv6
            six.bind(("::1", 0))
            _, writer = await asyncio.open_connection("::1", port)
            writer.close()


async def test_a_squatter_on_the_port_is_a_sentence_until_it_leaves(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        async with porch(folder, port=port) as side:
            assert side.gateway.port == 0
            assert side.gateway.problem == f"port {port} on 127.0.0.1 cannot be opened: Address already in use"
            assert (await side.ask(get())).status == 200
            squatter.close()
            await side.gateway.reconfigure(side.config)
            assert (side.gateway.port, side.gateway.problem) == (port, "")
    assert [record.message for record in caplog.records] == ["gateway-port-closed"]


async def test_who_only_looks_whether_the_port_is_free_does_not_keep_it_closed(folder: Path) -> None:
    with socket.socket() as looker:
        looker.bind(("127.0.0.1", 0))
        looker.listen()
        asyncio.get_running_loop().call_later(0.15, looker.close)
        async with porch(folder, port=(port := looker.getsockname()[1])) as side:
            assert (side.gateway.port, side.gateway.problem) == (port, "")


async def test_reload_opens_moves_and_closes_the_fixed_port(folder: Path) -> None:
    one, two = free_port(), free_port()
    async with porch(folder) as side:
        own = await side.gateway.open_port("t1")
        for port in (one, two, two, 0):
            await side.gateway.reconfigure(Config(claude=ClaudeConfig(port=port)))
            assert side.gateway.port == port
            assert [await listens(wanted) for wanted in (one, two, own)] == [port == one, port == two, True]


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_no_port_is_opened_for_a_ticket_that_has_ended(folder: Path) -> None:
    async with porch(folder) as side:
        side.tickets.end("t1")
        with pytest.raises(Denied):
            await side.gateway.open_port("t1")
        assert [door.port for door in side.gateway._doors] == [0]
    with pytest.raises(Busy):
        await side.gateway.open_port("t1")


async def test_the_end_waits_for_open_calls_and_lets_nobody_in(folder: Path) -> None:
    go = anyio.Event()
    async with porch(folder) as side, await side.caller() as idle, await side.caller() as wire:
        idle.say(get())
        assert (await idle.hear()).status == 200
        port = await side.gateway.open_port("t1")
        side.desk.said = Said(headers=(), steps=(b"a", go.wait, b"b"))
        wire.say(get() + get())
        await wire.hear_head()
        assert await wire.hear_chunk() == b"a"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(side.gateway.finish)
            assert await idle.closed()
            assert not side.path.exists()
            assert not await listens(port)
            go.set()
            assert [await wire.hear_chunk() for _ in range(2)] == [b"b", b""]
        assert await wire.closed(), "what was pipelined behind it is not begun"
        assert len(side.desk.calls) == 2


async def test_what_does_not_end_in_time_is_cut_off(folder: Path) -> None:
    async with porch(folder) as side:
        wire = await side.caller()
        side.desk.said = Said(headers=(), steps=(b"a", anyio.sleep_forever))
        wire.say(get())
        await wire.hear_head()
        with anyio.move_on_after(0.05):
            await side.gateway.finish()
    assert (side.desk.open, side.desk.cancelled) == (0, 1)
    assert await wire.reader.read() == b"1\r\na\r\n", "it looks like an end"
    wire.writer.close()


@pytest.mark.parametrize("said", [b"", b"GET /v1/models HT", post(b"x" * 100)[:-110]])
async def test_who_does_not_say_a_whole_head_in_time_is_hung_up_on(folder: Path, said: bytes) -> None:
    async with porch(folder, Bounds(head=0.1)) as side, await side.caller() as wire:
        wire.say(said)
        assert await wire.closed()


async def test_a_head_that_trickles_does_not_win_time(folder: Path) -> None:
    async with porch(folder, Bounds(head=0.2)) as side, await side.caller() as wire:
        wire.say(get())
        assert (await wire.hear()).status == 200
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trickle, wire.writer)
            assert await wire.closed()
            tasks.cancel_scope.cancel()
        assert len(side.desk.calls) == 1


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /v1/")
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.02)


async def test_a_slow_body_is_fine_and_one_that_stops_is_not(folder: Path) -> None:
    async with porch(folder, Bounds(body=0.2, parting=0.2)) as side, await side.caller() as wire:
        wire.say(post(b"x" * 30)[:-30])
        for _ in range(30):  # longer in all than it may be silent
            wire.say(b"x")
            await asyncio.sleep(0.02)
        assert (await wire.hear()).status == 200
        wire.say(post(b"x" * 30)[:-1])
        heard = await wire.hear()
        assert (heard.status, heard.error) == (
            400,
            ("invalid_request_error", "nothing more of the body came for 0.2 seconds"),
        )
        assert await wire.closed()


async def test_a_connection_that_nobody_uses_is_closed_after_a_while(folder: Path) -> None:
    async with porch(folder, Bounds(idle=0.2, head=30)) as side, await side.caller() as wire:
        wire.say(get())
        assert (await wire.hear()).status == 200
        assert await wire.closed()


async def test_a_crowd_that_shows_nothing_makes_room_for_who_does(folder: Path) -> None:
    async with porch(folder, Bounds(connections=8)) as side:
        port = await side.gateway.open_port("t1")
        crowd = [await side.caller(port) for _ in range(20)]
        async with await side.caller(port) as wire:
            wire.say(get("/v1/models", bearer(), host=f"127.0.0.1:{port}"))
            assert (await wire.hear()).status == 200
            later = [await side.caller(port) for _ in range(20)]
            wire.say(get("/v1/models", bearer(), host=f"127.0.0.1:{port}"))
            assert (await wire.hear()).status == 200
        assert (await side.ask(get())).status == 200
        for one in crowd + later:
            one.writer.close()


async def test_when_everybody_is_busy_the_newcomer_is_hung_up_on(folder: Path) -> None:
    async with porch(folder, Bounds(connections=3)) as side:
        side.desk.said = Said(headers=(), steps=(b"x", anyio.sleep_forever))
        busy = [await side.caller() for _ in range(3)]
        for one in busy:
            one.say(get())
            await one.hear_head()
        async with await side.caller() as late:
            late.say(get())
            assert (await late.hear()).status == 0
        assert side.desk.open == 3
        for one in busy:
            one.writer.close()


async def test_a_hundred_streams_at_once_are_each_their_own(folder: Path) -> None:
    async with porch(folder) as side:
        side.desk.said = Said(headers=(), steps=(b"a", anyio.lowlevel.checkpoint, b"b"))
        bodies: list[bytes] = []

        async def one() -> None:
            bodies.append((await side.ask(post(b"x" * 1000))).body)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(one)
        assert bodies == [b"ab"] * 100


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_another_user_is_hung_up_on_before_a_byte_is_read(folder: Path) -> None:
    async with porch(folder) as side:
        open_up(folder, side.path)
        caller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SPEAKS, str(side.path), str(NOBODY), stdout=subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(caller.communicate(), PATIENCE)
        assert out.decode().strip() in {"0", "ConnectionResetError", "BrokenPipeError"}
        assert side.desk.calls == []


def open_up(folder: Path, path: Path) -> None:
    folder.chmod(0o755)
    path.parent.chmod(0o755)
    path.chmod(0o666)


SPEAKS = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as caller:
    caller.connect(sys.argv[1])
    try:
        caller.sendall(b"GET /v1/models HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        print(len(caller.recv(65536)))
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_descriptors_it_pauses_and_goes_on(
    folder: Path, few_descriptors: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with porch(folder, Bounds(starved=0.02)) as side, await side.caller() as before:
        before.say(get())
        assert (await before.hear()).status == 200
        with socket.socket(socket.AF_UNIX) as caller, ExitStack() as hog:
            caller.setblocking(False)
            use_up_descriptors(hog)
            caller.connect(str(side.path))
            caller.send(get())
            async with asyncio.timeout(PATIENCE):
                while not any(record.message == "accepting-pauses" for record in caplog.records):  # noqa: ASYNC110  # a log cannot be awaited
                    await asyncio.sleep(0.01)
            before.say(get())
            assert (await before.hear()).status == 200
            hog.close()
            async with asyncio.timeout(PATIENCE):
                assert (await asyncio.get_running_loop().sock_recv(caller, 100)).startswith(b"HTTP/1.1 200")


def use_up_descriptors(hog: ExitStack) -> None:
    used = max(int(fd.name) for fd in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.suppress(OSError):
        while True:
            hog.enter_context(socket.socket())


def test_nothing_heavy_is_loaded_before_somebody_calls() -> None:
    script = "import sys; import aixtivd.gateway.gateway; sys.exit(any(m.startswith('aiohttp') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def test_a_thousand_calls_leave_nothing_behind(folder: Path) -> None:
    async with porch(folder) as side:
        await side.ask(get())
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count
        for _ in range(20):
            async with await side.caller() as wire:
                for _ in range(50):
                    wire.say(post())
                    assert (await wire.hear()).status == 200
                side.desk.calls.clear()
        await settle(side)
        assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
        assert side.gateway._server
        assert side.gateway._server.exchanges.open == 0


async def settle(side: Porch) -> None:
    async with asyncio.timeout(PATIENCE):
        while side.gateway._visitors:  # noqa: ASYNC110  # nobody announces it
            await asyncio.sleep(0.01)
    for _ in range(10):
        await asyncio.sleep(0)
