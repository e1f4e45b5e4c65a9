"""Commands of the person's: what they get, what is taken of them, and that nothing of them stays behind."""

import os
import sys
import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aixtivd.host.program import Failed, output_of, surroundings
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


def pid_in(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


async def test_what_it_prints_is_taken_and_its_words_reach_it_as_they_are(folder: Path) -> None:
    command = script(folder, 'printf "%s|" "$@"; echo to nobody >&2')
    assert await output_of((*command, "a b", "$HOME", "*"), 10) == "a b|$HOME|*|"


async def test_it_reads_nothing_and_is_in_a_session_of_its_own(folder: Path) -> None:
    command = script(folder, "cat; ps -o sid= -p $$ 2>/dev/null || cut -d' ' -f6 /proc/$$/stat")
    assert int(await output_of(command, 10)) != os.getsid(0)


async def test_no_variable_that_looks_like_a_secret_reaches_it(folder: Path) -> None:
    environ = {
        "HOME": "/home/ada",
        "PATH": os.environ["PATH"],
        "LANG": "C",
        "XDG_RUNTIME_DIR": "/run/user/1",
        "USER": "ada",
        "XDG_TOKEN": "x",
        "ANTHROPIC_API_KEY": "x",
        "CLAUDE_OAUTH_CLIENT_SECRET": "x",
        "AIXTIV_SOCKET": "x",
        "GITHUB_TOKEN": "x",
        "LD_PRELOAD": "x",
    }
    assert set(surroundings(environ)) == {"HOME", "PATH", "LANG", "XDG_RUNTIME_DIR", "USER"}
    printed = await output_of(script(folder, "env"), 10, environ)
    assert {line.partition("=")[0] for line in printed.splitlines()} - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "HOME",
        "PATH",
        "LANG",
        "XDG_RUNTIME_DIR",
        "USER",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 3", "ended with status 3"),
        ("echo hunter2 >&2; exit 1", "ended with status 1"),
        ("kill -9 $$", "ended with signal 9"),
        ("printf '\\377\\376'", "prints what is no text"),
        ("yes hunter2", "prints more than 65536 bytes"),
    ],
)
async def test_what_goes_wrong_is_said_and_never_what_it_printed(folder: Path, text: str, why: str) -> None:
    with pytest.raises(Failed) as raised:
        await output_of(script(folder, text), 10)
    assert str(raised.value) == why


@pytest.mark.parametrize("text", ["", "not a program"])
async def test_a_command_that_cannot_be_started_is_said(folder: Path, text: str) -> None:
    path = folder / "command"
    if text:
        path.write_text(text)
    with pytest.raises(Failed, match=r"cannot be started: (no such file or directory|permission denied)"):
        await output_of((str(path),), 10)


async def test_a_command_that_hangs_is_ended_with_all_that_it_started(folder: Path) -> None:
    child = folder / "pid"
    began = time.monotonic()
    with pytest.raises(Failed, match=r"did not end within 0\.5 seconds"):
        await output_of(script(folder, f"sleep 600 & echo $! > {child}; wait"), 0.5)
    assert time.monotonic() - began < 10
    pid = pid_in(child)
    assert pid
    await anyio.to_thread.run_sync(until, lambda: ended(pid), "the child has ended")


@pytest.mark.parametrize("redirected", [">/dev/null 2>&1", "2>/dev/null"])
async def test_what_a_command_leaves_behind_in_its_group_ends_with_it_and_is_not_waited_for(
    folder: Path, redirected: str
) -> None:
    child = folder / "pid"
    command = script(folder, f"sleep 600 {redirected} & echo $! > {child}; echo tok")
    began = time.monotonic()
    assert await output_of(command, 60) == "tok\n"
    assert time.monotonic() - began < 30
    pid = pid_in(child)
    assert pid
    await anyio.to_thread.run_sync(until, lambda: ended(pid), "the child has ended")


async def test_what_has_left_its_group_holds_its_stdout_and_is_not_waited_for(folder: Path) -> None:
    child = folder / "pid"
    began = time.monotonic()
    assert await output_of(script(folder, f"setsid sleep 600 & echo $! > {child}; echo tok"), 60) == "tok\n"
    assert time.monotonic() - began < 30
    os.kill(pid_in(child), 9)


async def test_a_command_has_no_descriptors_but_the_three(folder: Path) -> None:
    assert (await output_of(script(folder, "ls /proc/$$/fd"), 10)).split() in (
        ["0", "1", "2"],
        ["0", "1", "10", "2"],  # some shells hold the script at 10
        ["0", "1", "2", "255"],
    )


async def test_all_that_was_printed_is_taken_however_it_came(folder: Path) -> None:
    """A full pipe when it ends, and one that it has closed long before."""
    assert len(await output_of(script(folder, "head -c 65536 /dev/zero | tr '\\0' x"), 10)) == 65536
    assert await output_of(script(folder, "echo tok; exec >&-; sleep 0.2"), 10) == "tok\n"


async def test_a_caller_that_gives_up_ends_the_command(folder: Path) -> None:
    child = folder / "pid"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(output_of, script(folder, f"echo $$ > {child}; exec sleep 600"), 600)
        pid = await anyio.to_thread.run_sync(until, lambda: pid_in(child), "the command runs")
        tasks.cancel_scope.cancel()
    assert ended(pid)


async def test_many_at_once_leave_no_descriptor_open() -> None:
    async def one() -> None:
        assert await output_of((sys.executable, "-Ic", "print('x')"), 30) == "x\n"

    await one()
    before = descriptors()
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(one)
    assert descriptors() <= before
