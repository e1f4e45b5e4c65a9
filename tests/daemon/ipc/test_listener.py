"""Who is let in: the same user only, and everybody again once there are descriptors again."""

import asyncio
import logging
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from aixtiv_protocol import codec, replies, requests
from aixtivd.ipc.limits import Limits
from peers.held import PATIENCE, serving

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = 65534

SPEAKS = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as caller:
    caller.connect(sys.argv[1])
    try:
        caller.sendall(bytes.fromhex(sys.argv[3]))
        print(len(caller.recv(65536)))
    except OSError as error:
        print(type(error).__name__)
"""


@AS_ROOT
async def test_another_user_is_refused_before_a_byte_is_read(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The folder is opened up on purpose: what is left is what the kernel says."""
    async with serving(folder) as side:
        open_up(side.path)
        said: dict[int, str] = {}
        for uid in (NOBODY, os.getuid()):
            asked = codec.encode_request(requests.Token(account="fresh")).hex()
            caller = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SPEAKS, side.path, str(uid), asked, stdout=subprocess.PIPE
            )
            out, _ = await asyncio.wait_for(caller.communicate(), PATIENCE)
            said[uid] = out.decode().strip()
    answer = codec.encode_reply(replies.Done(), "frames")
    assert said[NOBODY] in {"0", "ConnectionResetError", "BrokenPipeError"}
    assert int(said[os.getuid()]) > len(answer)
    refused = [record.__dict__["facts"] for record in caplog.records if record.message == "other-user-refused"]
    assert [facts["uid"] for facts in refused] == [NOBODY]


def open_up(path: Path) -> None:
    path.parent.chmod(0o755)
    path.chmod(0o666)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_descriptors_the_daemon_pauses_and_goes_on(
    folder: Path, few_descriptors: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Callers who come meanwhile are not dropped: they wait in the kernel's queue."""
    async with serving(folder, Limits(starved=0.02)) as side, await side.caller() as before:
        with ExitStack() as hog:
            before.say(requests.Hello())
            await before.hear()
            caller = await side_by_side(side.path)
            use_up_descriptors(hog)
            assert caller.stdin
            assert caller.stdout
            caller.stdin.write(b"\n")
            await caller.stdin.drain()
            await until_logged(caplog, "accepting-pauses")
            before.say(requests.Token(account="fresh"))
            assert isinstance(await before.hear(), replies.AccessToken)
        assert int(await asyncio.wait_for(caller.stdout.readline(), PATIENCE)) > 0
        await caller.wait()
    pauses = [record.__dict__["facts"] for record in caplog.records if record.message == "accepting-pauses"]
    assert {facts["reason"] for facts in pauses} == {"out of file descriptors or memory"}


def use_up_descriptors(hog: ExitStack) -> None:
    used = max(int(fd.name) for fd in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with suppress(OSError):
        while True:
            hog.enter_context(socket.socket())


CONNECTS = """
import socket, sys
sys.stdin.readline()
with socket.socket(socket.AF_UNIX) as caller:
    caller.connect(sys.argv[1])
    caller.sendall(bytes.fromhex(sys.argv[2]))
    print(len(caller.recv(65536)), flush=True)
"""


async def side_by_side(path: Path) -> asyncio.subprocess.Process:
    """A caller in a process of its own, which connects when it is given a line."""
    asked = codec.encode_request(requests.Token(account="fresh")).hex()
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CONNECTS, path, asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


async def until_logged(caplog: pytest.LogCaptureFixture, event: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not any(record.message == event for record in caplog.records):  # noqa: ASYNC110  # a log cannot be awaited
            await asyncio.sleep(0.01)


async def test_after_close_nobody_is_let_in_and_the_conversations_go_on(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as before:
        before.say(requests.Hello())
        await before.hear()
        side.listener.close()
        async with await side.caller() as late:
            before.say(requests.Token(account="fresh"))
            assert isinstance(await before.hear(), replies.AccessToken)
            assert len(side.listener._sessions) == 1
            late.writer.close()


async def test_a_crowd_is_served(folder: Path) -> None:
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # in debug mode it tells of each slow callback
    async with serving(folder) as side:
        callers = [await side.caller() for _ in range(300)]
        for caller in callers:
            caller.say(requests.Token(account="fresh"), requests.Hello())
        for caller in callers:
            assert isinstance(await caller.hear(), replies.AccessToken)
            assert isinstance(await caller.hear(), replies.Welcome)
        for caller in callers:
            caller.writer.close()
        async with asyncio.timeout(PATIENCE):
            await side.listener.empty()
