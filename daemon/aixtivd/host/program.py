"""Runs a command of the person's, takes what it prints or tells it something: no shell, few variables, one end."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import IO, Final

import anyio
import anyio.to_thread

_LONGEST: Final = 64 * 1024  # bytes on stdout
SAID: Final = 4096  # bytes on stdin: as many as any empty pipe takes at once, however little is left to this user
_PASSED: Final = frozenset(
    {"HOME", "PATH", "LANG", "LANGUAGE", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS"}
)
_PASSED_FAMILIES: Final = ("LC_", "XDG_")
_NEVER: Final = ("TOKEN", "KEY", "SECRET", "PASS", "CREDENTIAL")


class Failed(Exception):
    """Why nothing can be made of a command: the end of a sentence that begins with its name. Never what it printed."""


async def output_of(command: tuple[str, ...], seconds: float, environ: Mapping[str, str] | None = None) -> str:
    """What it prints on stdout until it ends; its stderr goes nowhere, for it may quote secrets. Raises Failed.

    `command`: its first word an absolute path. However this ends, nothing of the command's process group goes on.
    """
    start = partial(_started, command, surroundings(os.environ if environ is None else environ))
    process, pipe = await anyio.to_thread.run_sync(start)
    try:
        with anyio.fail_after(seconds):
            printed = await _printed(process.pid, pipe.fileno())
    except TimeoutError:
        raise Failed(f"did not end within {seconds:g} seconds") from None
    finally:
        with anyio.CancelScope(shield=True):
            status = await anyio.to_thread.run_sync(_end, process, pipe)
    if status:
        raise Failed(f"ended with {_status(status)}")
    try:
        return printed.decode()
    except UnicodeDecodeError:
        raise Failed("prints what is no text") from None


async def tell(command: tuple[str, ...], said: bytes, seconds: float, environ: Mapping[str, str] | None = None) -> None:
    """Runs it with `said` on its stdin, at most SAID bytes; what it prints goes nowhere. Raises Failed.

    Otherwise as `output_of`.
    """
    start = partial(_fed, command, said, surroundings(os.environ if environ is None else environ))
    process = await anyio.to_thread.run_sync(start)
    try:
        with anyio.fail_after(seconds):
            await _ended(process.pid)
    except TimeoutError:
        raise Failed(f"did not end within {seconds:g} seconds") from None
    finally:
        with anyio.CancelScope(shield=True):
            status = await anyio.to_thread.run_sync(_end, process)
    if status:
        raise Failed(f"ended with {_status(status)}")


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a command gets: where things are and who the person is; nothing that looks like a secret."""
    return {
        name: value
        for name, value in environ.items()
        if (name in _PASSED or name.startswith(_PASSED_FAMILIES)) and not any(word in name for word in _NEVER)
    }


def _started(command: tuple[str, ...], environ: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """With the pipe of its stdout."""
    process = _popen(command, environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None  # it is a pipe
    os.set_blocking(process.stdout.fileno(), False)
    return process, process.stdout


def _fed(command: tuple[str, ...], said: bytes, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """All of it is in the pipe before the command begins: whether it reads, and when, is its own business."""
    if len(said) > SAID:
        raise ValueError("that is more than a pipe takes")
    reading = _holding(said)
    try:
        return _popen(command, environ, stdin=reading, stdout=subprocess.DEVNULL)
    finally:
        os.close(reading)


def _holding(said: bytes) -> int:
    """A pipe's end to be read from, of which nobody has the other."""
    try:
        reading, writing = os.pipe()
        try:
            os.write(writing, said)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
    except OSError as error:  # above all: no descriptor is left
        raise _not_started(error) from None
    return reading


def _popen(command: tuple[str, ...], environ: Mapping[str, str], *, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    """Python's own, for uvloop's leaves every command copies of our descriptors."""
    try:
        return subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, env=environ, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise _not_started(error) from None


def _not_started(error: OSError | ValueError) -> Failed:
    number = error.errno if isinstance(error, OSError) else None
    return Failed(f"cannot be started: {os.strerror(number).lower() if number else 'a word of it'}")


async def _printed(pid: int, pipe: int) -> bytes:
    """Until the command itself has ended, whoever else still holds its stdout."""
    printed = bytearray()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_at_its_end, pid, tasks.cancel_scope)
        while _take(pipe, printed):
            await anyio.wait_readable(pipe)
        if len(printed) > _LONGEST:
            tasks.cancel_scope.cancel()
    while _take(pipe, printed, patient=False):
        pass
    if len(printed) > _LONGEST:
        raise Failed(f"prints more than {_LONGEST} bytes")
    return bytes(printed)


async def _cancel_at_its_end(pid: int, scope: anyio.CancelScope) -> None:
    await _ended(pid)
    scope.cancel()


async def _ended(pid: int) -> None:
    """In a thread of its own: those that others wait for are not kept busy."""
    await anyio.to_thread.run_sync(_await_end, pid, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))


def _await_end(pid: int) -> None:
    """It is not reaped, so that its number is not another's before its group is killed."""
    if sys.platform == "darwin" and sys.version_info < (3, 13):  # not run on a Mac
        ended = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        with suppress(ProcessLookupError):  # it has ended already
            select.kqueue().control([ended], 1)
    else:
        with suppress(ChildProcessError):  # nobody waits for this any more, and it was reaped
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _take(pipe: int, printed: bytearray, *, patient: bool = True) -> bool:
    """What is in the pipe now. Whether there may be more: later, too, if `patient`."""
    try:
        piece = os.read(pipe, _LONGEST)
    except BlockingIOError:
        return patient
    printed += piece
    return bool(piece) and len(printed) <= _LONGEST


def _end(process: subprocess.Popen[bytes], pipe: IO[bytes] | None = None) -> int:
    """Kills what is left of the group, and reaps the command: its status. Blocking."""
    with suppress(ProcessLookupError, PermissionError):  # a Mac's word for a group of which nothing runs
        os.killpg(process.pid, signal.SIGKILL)
    if pipe is not None:
        pipe.close()
    return process.wait()


def _status(status: int) -> str:
    return f"status {status}" if status > 0 else f"signal {-status}"
