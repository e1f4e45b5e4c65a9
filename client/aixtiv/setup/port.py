"""The gateway's fixed port: chosen, written into the config and the service's sockets, opened, and given back."""

import contextlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from aixtiv import ports, start
from aixtiv.client import Client
from aixtiv.failures import AixtivError, NotRunning, Usage
from aixtiv.service import port as socket_port
from aixtiv.setup import record
from aixtiv.setup.goal import Goal, put_toml
from aixtiv.setup.record import Pending, Record
from aixtiv_protocol.replies import DaemonStatus

NAME: Final = "port"
FIRST: Final = 27823  # nobody's at IANA, and below what systems give out by themselves (Linux: 32768 on, macOS: 49152)
_TRIED: Final = 20
UNIT: Final = socket_port.SOCKET
SERVICE: Final = start.UNIT
_PATIENCE: Final = 60.0  # seconds; a service that stops lets open refreshes finish
_RESTART: Final = (  # a socket cannot be changed while its service runs
    ("daemon-reload",),
    ("stop", SERVICE),
    ("restart", UNIT),
    ("start", SERVICE),
)
_KEY: Final = ("claude", "port")


def choose(asked: int, tables: Mapping[str, Any], status: DaemonStatus) -> int:
    """The port asked for, else the one in the config, else a free one. Raises AixtivError where it is taken."""
    claude = tables.get("claude")
    configured = claude.get("port", 0) if isinstance(claude, dict) else 0
    port = asked or (configured if isinstance(configured, int) else 0)
    if port and port == status.gateway_port:
        return port
    if port:
        if why := ports.refusal("127.0.0.1", port):
            who = f"{ports.holder(port)} has it" if why.taken else why.sentence
            raise AixtivError(f"port {port} cannot be used: {who}", hint=ports.who(port))
        return port
    free = (number for number in range(FIRST, FIRST + _TRIED) if ports.refusal("127.0.0.1", number) is None)
    if not (port := next(free, 0)):
        raise AixtivError(
            f"none of the ports {FIRST} to {FIRST + _TRIED - 1} is free", hint="aixtiv setup env --port N"
        )
    return port


def goals(config: Path, port: int) -> tuple[Goal, ...]:
    found = [Goal(config, "toml", lambda text: put_toml(text, _KEY, port), (_KEY,))]
    if unit := socket_port.unit():
        found.append(Goal(unit, "whole", lambda _: socket_port.lines(port), mode=0o644))
    return tuple(found)


def check_users(kept: Record, port: int, name: str) -> None:
    """Raises Usage where another setup has written down a port that would not be there any more."""
    others = [user for user in kept.users if user != name]
    if others and kept.port not in (0, port):
        raise Usage(
            f"port {kept.port} is in use by `aixtiv setup {others[0]}`", hint=f"aixtiv setup {others[0]} --undo"
        )


def open_for(name: str, kept: Record, changes: tuple[Pending, ...], port: int, client: Client) -> None:
    """Writes the port down and has the daemon open it. Raises AixtivError; then everything is as it was."""
    ours = bool(kept.changes) or any(change.now != change.after for change in changes)
    if ours:  # a port that the person put into the config is theirs, and stays
        users = tuple(dict.fromkeys((*kept.users, name)))
        record.apply(structs.replace(kept, users=users, port=port), changes)
    try:
        _reload(client)
        _check_open(client, port)
    except AixtivError:
        if ours:
            _take_back(kept)
            with contextlib.suppress(AixtivError):  # the first failure is the one to tell
                _reload(client)
        raise


def _check_open(client: Client, port: int) -> None:
    status = client.status()
    if status.gateway_port != port:
        why = f": {status.gateway_problem}" if status.gateway_problem else ""
        raise AixtivError(f"the daemon has not opened port {port}{why}", hint="aixtiv doctor")


def _take_back(kept: Record) -> None:
    if kept.users:  # another setup's, which goes on
        record.save(kept)
    else:
        record.undo(record.load(NAME))


def release(name: str, client: Client) -> list[record.Undone]:
    """Gives the port back with its last user."""
    kept = record.load(NAME)
    if name not in kept.users:
        return []
    users = tuple(user for user in kept.users if user != name)
    if users:
        record.save(structs.replace(kept, users=users))
        return []
    told = record.undo(kept)
    with contextlib.suppress(NotRunning):  # then it reads the config when it starts
        _reload(client)
    return told


def _reload(client: Client) -> None:
    """The port as it is written down now. One of the service manager's is handed over when the service starts."""
    socket_port.follow()
    if not (is_managed() and all(_systemctl(*words) for words in _RESTART)):
        client.reload()


def is_managed() -> bool:
    """Whether the daemon has its sockets from systemd, and so has to be started anew for another one."""
    return socket_port.unit() is not None and _systemctl("is-active", SERVICE)


def _systemctl(*words: str) -> bool:
    try:
        asked = subprocess.run(["systemctl", "--user", *words], capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0
