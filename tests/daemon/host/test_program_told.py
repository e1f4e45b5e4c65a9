"""Commands of the person's that are told something: it is all there to be read, and they need not read it."""

import errno
import os
import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aixtivd.host.program import SAID, Failed, tell
from peers.waiting import until


def script(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "command"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return (str(path),)


def ended(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_it_reads_all_that_is_said_and_then_the_end(folder: Path) -> None:
    said = b"x" * SAID
    await tell(script(folder, f"cat > {folder}/heard"), said, 10)
    assert (folder / "heard").read_bytes() == said


async def test_what_it_does_not_read_holds_up_nobody(folder: Path) -> None:
    await tell(script(folder, "exec <&-; exit 0"), b"x" * SAID, 10)


async def test_more_than_a_pipe_takes_is_not_begun_with(folder: Path) -> None:
    with pytest.raises(ValueError, match="more than a pipe"):
        await tell(script(folder, f"touch {folder}/begun"), b"x" * (SAID + 1), 10)
    assert not (folder / "begun").exists()


async def test_what_it_prints_goes_nowhere_however_much_it_is(folder: Path) -> None:
    await tell(script(folder, "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"), b"", 10)


async def test_it_has_the_few_variables_that_every_command_gets(folder: Path) -> None:
    environ = {"HOME": "/home/ada", "PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "x", "NOTIFY_SOCKET": "x"}
    await tell(script(folder, f"env > {folder}/env"), b"", 10, environ)
    names = {line.partition("=")[0] for line in (folder / "env").read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"HOME", "PATH"}


@pytest.mark.parametrize(
    ("text", "why"), [("exit 3", "ended with status 3"), ("echo hunter2 >&2; kill -9 $$", "ended with signal 9")]
)
async def test_what_goes_wrong_is_said_and_never_what_it_printed(folder: Path, text: str, why: str) -> None:
    with pytest.raises(Failed) as raised:
        await tell(script(folder, text), b"{}", 10)
    assert str(raised.value) == why


async def test_one_that_cannot_be_started_is_said_and_leaves_nothing_open(folder: Path) -> None:
    before = descriptors()
    for _ in range(8):
        with pytest.raises(Failed, match="cannot be started: no such file or directory"):
            await tell((str(folder / "none"),), b"{}", 10)
    assert descriptors() <= before + 1


@pytest.mark.parametrize("call", ["pipe", "write"])
async def test_where_no_pipe_can_be_had_that_is_said_and_nothing_stays_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EMFILE, "of the test")

    command = script(folder, "true")
    await tell(command, b"{}", 10)  # what is opened once and for all is open then
    before = descriptors()
    monkeypatch.setattr(f"os.{call}", full)
    for _ in range(8):
        with pytest.raises(Failed, match="cannot be started: too many open files"):
            await tell(command, b"{}", 10)
    monkeypatch.undo()
    assert descriptors() <= before + 1


async def test_one_that_hangs_is_ended_with_all_that_it_started(folder: Path) -> None:
    child = folder / "pid"
    began = time.monotonic()
    with pytest.raises(Failed, match=r"did not end within 0\.5 seconds"):
        await tell(script(folder, f"sleep 600 & echo $! > {child}; wait"), b"{}", 0.5)
    assert time.monotonic() - began < 10
    pid = int(child.read_text())
    await anyio.to_thread.run_sync(until, lambda: ended(pid), "the child has ended")
