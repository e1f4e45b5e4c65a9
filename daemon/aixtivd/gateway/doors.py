"""Where the gateway's callers come in: a Unix socket, and ports on loopback."""

import errno
import socket
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Final

import anyio
import anyio.to_thread

from aixtivd.host import loopback
from aixtivd.host.accepting import Arrivals
from aixtivd.host.address import Address

_TRIES: Final = 5
_PAUSE: Final = 0.1
"""Seconds between two tries to open the fixed port: whoever looks whether it is free (`aixtiv doctor`, another user's
`setup`) holds it for an instant, and a port that stayed closed over that would stay closed until the next reload."""

FAMILIES: Final = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


class Door:
    """One listening socket. `port`: on loopback; 0: the Unix socket. `ticket`: the only one served there, if any."""

    def __init__(
        self,
        listening: socket.socket,
        *,
        port: int = 0,
        ticket: str = "",
        fixed: bool = False,
        address: Address | None = None,
    ) -> None:
        self.port = port
        self.ticket = ticket
        self.fixed = fixed  # opened because the config says so
        self._socket = listening
        self._address = address  # of a Unix socket
        self._arrivals: Arrivals | None = None
        self._shut = False
        self._left = False  # to the next daemon
        self._over = anyio.Event()
        self._over.set()

    async def run(self, admit: Callable[["Door", socket.socket], Awaitable[None]], starved: float) -> None:
        """Until it is shut. `starved`: seconds of pause when there are no descriptors left."""
        if self._shut or self._left:
            return
        self._over = anyio.Event()
        self._arrivals = Arrivals(self._socket, starved)
        try:
            async with aclosing(self._arrivals.connections()) as arriving:
                async for connection in arriving:
                    await admit(self, connection)
        finally:
            self._over.set()
            self._end()

    def shut(self) -> None:
        """Lets in nobody more. A port is free again in a moment, the Unix socket when it is given up."""
        self._shut = True
        if self._arrivals is not None:
            self._arrivals.close()
        if self._over.is_set():
            self._close()

    def _end(self) -> None:
        if self._shut or not self._left:
            self._close()

    def _close(self) -> None:
        if self._address is None:
            self._socket.close()

    async def leave(self) -> None:
        """Lets in nobody more, and stays open: who knocks waits for the next daemon."""
        self._left = True
        if self._arrivals is not None:
            self._arrivals.close()
        await self._over.wait()

    @property
    def inode(self) -> tuple[int, int] | None:
        """Of the Unix socket's path, if it is ours to remove."""
        return self._address.inode if self._address else None

    @property
    def host(self) -> str:
        """Of a port: on which of the two loopbacks."""
        return str(self._socket.getsockname()[0])

    @property
    def listening(self) -> socket.socket:
        return self._socket

    async def give_up(self) -> None:
        self.shut()
        await self._over.wait()
        address, self._address = self._address, None
        if address is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(address.give_up)


def port_door(port: int, *, ticket: str = "") -> Door:
    """On 127.0.0.1. `port`: 0 for any. Raises OSError where it is taken."""
    listening = loopback.bound(socket.AF_INET, "127.0.0.1", port)
    return Door(listening, port=listening.getsockname()[1], ticket=ticket)


async def fixed_doors(port: int, there: Collection[Door] = ()) -> tuple[list[Door], str]:
    """On 127.0.0.1 and, where the machine has it, on ::1; and a sentence about what could not be opened.

    `there`: what listens there already. Beside one of the service manager's the other is open as long as that.
    """
    hosts, fixed = {door.host for door in there}, all(door.fixed for door in there)
    doors: list[Door] = []
    for host, family in FAMILIES.items():
        if host in hosts:
            continue
        try:
            doors.append(Door(await _bound(family, host, port), port=port, fixed=fixed))
        except OSError as error:
            if host == "127.0.0.1" or _has(family, host):
                return doors, f"port {port} on {host} cannot be opened: {error.strerror}"
    return doors, ""


async def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    for _ in range(_TRIES):
        try:
            return loopback.bound(family, host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        await anyio.sleep(_PAUSE)
    return loopback.bound(family, host, port)


def _has(family: socket.AddressFamily, host: str) -> bool:
    try:
        loopback.bound(family, host, 0).close()
    except OSError:
        return False
    return True
