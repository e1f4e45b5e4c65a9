"""Runs a command of the person's and takes what it prints: no shell, few variables, a time limit, a size, one end."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import Process

_LONGEST: Final = 64 * 1024  # bytes on stdout
_PASSED: Final = frozenset(
    {"HOME", "PATH", "LANG", "LANGUAGE", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS"}
)
_PASSED_FAMILIES: Final = ("LC_", "XDG_")
_NEVER: Final = ("TOKEN", "KEY", "SECRET", "PASS", "CREDENTIAL")


class Failed(Exception):
    """Why nothing can be made of a command: the end of a sentence that begins with its name. Never what it printed."""


async def output_of(command: tuple[str, ...], seconds: float, environ: Mapping[str, str] | None = None) -> str:
    """What it prints on stdout; its stderr goes nowhere, for it may quote secrets. Raises Failed.

    `command`: its first word an absolute path. However this ends, nothing of the command's process group goes on.
    """
    try:
        process = await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=surroundings(os.environ if environ is None else environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        raise Failed(f"cannot be started: {os.strerror(number).lower() if number else 'a word of it'}") from None
    try:
        with anyio.fail_after(seconds):
            printed = await _read(process)
            status = await process.wait()
    except TimeoutError:
        raise Failed(f"did not end within {seconds:g} seconds") from None
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    if status:
        raise Failed(f"ended with {_status(status)}")
    try:
        return printed.decode()
    except UnicodeDecodeError:
        raise Failed("prints what is no text") from None


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a command gets: where things are and who the person is; nothing that looks like a secret."""
    return {
        name: value
        for name, value in environ.items()
        if (name in _PASSED or name.startswith(_PASSED_FAMILIES)) and not any(word in name for word in _NEVER)
    }


async def _read(process: Process) -> bytes:
    assert process.stdout is not None  # it is a pipe
    printed = bytearray()
    async for piece in process.stdout:
        printed += piece
        if len(printed) > _LONGEST:
            raise Failed(f"prints more than {_LONGEST} bytes")
    return bytes(printed)


async def _end(process: Process) -> None:
    """Kills the group unless the command has ended by itself, and reaps it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.stdout is not None:
        await process.stdout.aclose()


def _status(status: int) -> str:
    return f"status {status}" if status > 0 else f"signal {-status}"
