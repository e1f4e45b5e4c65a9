"""The relay's HTTP face, for SDKs and Claude Code: a Unix socket always, loopback ports while something needs them."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from aixtivd import log
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller, caller_of
from aixtivd.access.denials import Denials
from aixtivd.access.doorkeeper import Doorkeeper
from aixtivd.access.tickets import Held, Tickets
from aixtivd.config import Config
from aixtivd.errors import Busy, Denied, SocketFailed
from aixtivd.gateway.bounds import Bounds
from aixtivd.gateway.doors import Door, fixed_doors, port_door
from aixtivd.gateway.refusals import UNREADABLE
from aixtivd.host import loopback
from aixtivd.host.accepting import hand_over
from aixtivd.host.activation import GATEWAY, TICKET, Handed
from aixtivd.host.address import claim, taken_over
from aixtivd.host.succession import Left, Will
from aixtivd.relay.relay import Relay

if TYPE_CHECKING:  # loads with the first connection
    from aixtivd.gateway.server import Server
    from aixtivd.gateway.visitor import Visitor

SOCKET: Final = "claude.sock"
"""Beside the main socket."""

_NOTHING: Final = Handed()
_CUT: Final = 5.0  # seconds in which what was cut off has to be over


class Gateway:
    def __init__(
        self, relay: Relay, tickets: Tickets, audit: Audit, config: Config, bounds: Bounds | None = None
    ) -> None:
        self.path: Path | None = None  # of the Unix socket; None: it is not open
        self.port = 0  # the fixed one; 0: none
        self._problems = {"socket": "", "port": ""}
        self._relay = relay
        self._tickets = tickets
        self._bounds = bounds or Bounds()
        self.denials = self._denials = Denials(audit, time.monotonic)
        self._wanted = config.claude.port
        self._keeper = Doorkeeper()
        self._doors: list[Door] = []
        self._visitors: dict[Visitor, None] = {}  # the oldest first
        self._none_left = anyio.Event()
        self._server: Server | None = None
        self._loading = anyio.Lock()
        self._tasks: TaskGroup | None = None  # while it runs
        self._closing = False
        self._leaving = False  # the doors to the next daemon
        self.begun = 0  # connections, since the start
        tickets.ended.append(self._ended)

    @property
    def problem(self) -> str:
        """Why not all is open that should be, a sentence."""
        return "; ".join(problem for problem in self._problems.values() if problem)

    async def run(
        self,
        path: Path | None = None,
        handed: Handed = _NOTHING,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Until it is cancelled. `path`: of the Unix socket. `handed`: what is listened on already."""
        try:
            async with anyio.create_task_group() as self._tasks:
                await self._open_socket(path, handed)
                for listening in handed.ports:
                    self._reopen_port(listening, handed.will.fixed)
                for listening in handed.doors:
                    self._reopen(listening, handed.will.doors)
                await self._open_fixed()
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                await self._cut_all()

    async def open_port(self, ticket: str) -> int:
        """A loopback port for the ticket with this id; it closes with it. Raises Denied, Busy."""
        if self._tasks is None or self._closing:
            raise Busy("the daemon is stopping")
        try:
            door = port_door(0, ticket=ticket)
        except OSError as error:
            raise Busy(f"no port on 127.0.0.1 can be opened: {error.strerror}") from None
        self._serve(door)
        if not any(shown.id == ticket for shown in self._tickets.shown()):  # it ended before we could hear of it
            self._shut(door)
            raise Denied("that ticket has ended already")
        self._tickets.opened(ticket, door.port)
        return door.port

    async def reconfigure(self, config: Config) -> None:
        if self._closing or (config.claude.port == self._wanted and not self._problems["port"]):
            return
        self._wanted = config.claude.port
        for door in [door for door in self._doors if door.fixed]:
            self._shut(door)
            await door.give_up()
        await self._open_fixed()

    async def close(self) -> None:
        """Lets in nobody more. What is being answered goes on; the sockets are free again."""
        self._closing = True
        self._leaving = False
        doors, self._doors = self._doors, []
        for door in doors:
            await door.give_up()
        self.path, self.port = None, 0

    async def leave(self) -> tuple[tuple[Left, ...], Will]:
        """Lets in nobody more. What is being answered goes on; who knocks now waits for whoever gets these sockets.

        With what the next daemon has to know of them.
        """
        self._closing = self._leaving = True
        for door in tuple(self._doors):  # a ticket that ends meanwhile takes its own out of them
            await door.leave()
        will = Will(
            inodes={GATEWAY: door.inode for door in self._doors if door.inode is not None},  # noqa: B035  # one at most
            fixed=tuple(door.port for door in self._doors if door.fixed),
            doors={door.port: door.ticket for door in self._doors if door.ticket},
        )
        return tuple(Left(TICKET if door.ticket else GATEWAY, door.listening) for door in self._doors), will

    @property
    def open(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._visitors)

    async def finish(self) -> None:
        """Returns when every call that was open is over. Cancel it to cut them off."""
        if not self._leaving:
            await self.close()
        for visitor in tuple(self._visitors):
            visitor.finish()
        while self._visitors:
            self._none_left = anyio.Event()
            await self._none_left.wait()

    # Doors

    async def _open_socket(self, path: Path | None, handed: Handed) -> None:
        if path is None:
            return
        found = partial(taken_over, handed.gateway, handed.will.inodes.get(GATEWAY)) if handed.gateway else None
        try:
            address = await anyio.to_thread.run_sync(found or partial(claim, path))
        except SocketFailed as failure:  # tokens are served all the same
            self._problems["socket"] = failure.sentence
            log.error("gateway-closed", reason=failure.sentence, hint=failure.hint)
            return
        self.path = address.path
        self._serve(Door(address.socket, address=address))

    def _reopen_port(self, listening: socket.socket, fixed: Sequence[int]) -> None:
        """`fixed`: those that the daemon before this one opened for its config, which may have changed meanwhile."""
        port = listening.getsockname()[1]
        if port in fixed and port != self._wanted:
            listening.close()
        else:
            self._serve(Door(listening, port=port, fixed=port in fixed))

    def _reopen(self, listening: socket.socket, tickets: Mapping[int, str]) -> None:
        """The port of a ticket that the daemon before this one made, if it is still good."""
        port = listening.getsockname()[1]
        ticket = tickets.get(port, "")
        if not any(shown.id == ticket for shown in self._tickets.shown()):
            listening.close()
            return
        self._serve(Door(listening, port=port, ticket=ticket))
        self._tickets.opened(ticket, port)

    async def _open_fixed(self) -> None:
        """A port that somebody else has is a sentence: the rest works without it."""
        handed = [door for door in self._doors if door.port and not door.ticket]
        self.port, self._problems["port"] = (handed[0].port if handed else 0), ""
        if not self._wanted:
            return
        there = [door for door in handed if door.port == self._wanted]
        doors, problem = await fixed_doors(self._wanted, there)
        for door in doors:
            self._serve(door)
        if doors or there:
            self.port = self._wanted
        if problem:
            self._problems["port"] = problem
            log.error("gateway-port-closed", port=self._wanted, reason=problem)

    def _serve(self, door: Door) -> None:
        assert self._tasks is not None
        self._doors.append(door)
        self._tasks.start_soon(door.run, self._admit, self._bounds.starved)

    def _shut(self, door: Door) -> None:
        self._doors.remove(door)
        door.shut()

    def _ended(self, held: Held) -> None:
        """A ticket has: its port closes, and what is being answered to it is cut off."""
        for door in [door for door in self._doors if door.ticket == held.id]:
            self._shut(door)
        for visitor in tuple(self._visitors):
            if held.id in {visitor.place.ticket, visitor.ticket}:
                visitor.cut()

    # Connections

    async def _admit(self, door: Door, connection: socket.socket) -> None:
        """Until the caller talks to its own server: one or two turns of the loop, but for the first of all."""
        try:
            caller = await self._caller(door, connection)
            server = self._server or await self._loaded()
            if caller is None or not self._makes_room(door, caller):
                connection.close()
                return
            visitor = server.visitor(caller, door.port, door.ticket)
            self._visitors[visitor] = None
        except BaseException:
            connection.close()
            raise
        self.begun += 1
        await hand_over(connection, visitor, partial(self.left, visitor))

    async def _caller(self, door: Door, connection: socket.socket) -> Caller | None:
        """Before a byte is read the kernel is asked who it is. None: nobody that may come in."""
        if not door.port:
            peer = self._keeper.admits(connection)
            return caller_of(peer, connection) if peer else None
        try:
            here, there = connection.getsockname()[:2], connection.getpeername()[:2]
        except OSError:  # it has left
            return None
        uid = loopback.asked(here, there)
        if uid in {0, os.geteuid()} or await anyio.to_thread.run_sync(loopback.is_ours, here, there):
            return Caller(uid=os.geteuid(), pid=0)
        if uid != loopback.LEFT:
            sentence = "another user of this machine came to a port" + (f": uid {uid}" if uid is not None else "")
            self._denials.note(Caller(uid=-1 if uid is None else uid, pid=0), sentence, kind="other-user")
        return None

    def _makes_room(self, door: Door, caller: Caller) -> bool:
        """At the cost of whoever has been let in to nothing yet, else of whoever does nothing, the longest first."""
        here = [visitor for visitor in self._visitors if bool(visitor.place.port) == bool(door.port)]
        if len(here) < self._bounds.connections:
            return True
        for visitor in sorted(here, key=lambda visitor: visitor.admitted):
            if not visitor.admitted or not visitor.busy:
                visitor.cut()
                return True
        self._denials.note(caller, f"all {len(here)} connections are busy", kind="full")
        return False

    async def _loaded(self) -> "Server":
        async with self._loading:
            if self._server is None:
                kind = await anyio.to_thread.run_sync(_load)
                self._server = kind(self._relay, self._tickets, self._denials, self._bounds, self)
        return self._server

    def unreadable(self, visitor: "Visitor") -> None:
        self._denials.note(visitor.place.caller, UNREADABLE.sentence, kind="unreadable")

    def left(self, visitor: "Visitor") -> None:
        self._visitors.pop(visitor, None)
        if not self._visitors:
            self._none_left.set()

    async def _cut_all(self) -> None:
        """What is left when the daemon ends: each call's own end (its audit, its upstream) is waited for."""
        for visitor in tuple(self._visitors):
            visitor.cut()
        with anyio.move_on_after(_CUT) as patience:
            if not self._leaving:
                await self.close()
            if self._server is not None:
                await self._server.exchanges.over()
        self._denials.flush()  # what it held back
        if patience.cancelled_caught:
            log.warning("gateway-cut")


def _load() -> "type[Server]":
    from aixtivd.gateway.server import Server  # noqa: PLC0415  # with the first connection

    return Server
