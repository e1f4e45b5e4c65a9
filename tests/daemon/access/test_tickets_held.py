"""Tickets that a process holds: they end with it, and only a process that can end can hold one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from aixtiv_protocol.requests import Ticket as Asked
from aixtivd.access import presence
from aixtivd.access.caller import Caller
from aixtivd.errors import BadRequest, Denied
from peers.clock import limit
from peers.office import office

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")


@LINUX
async def test_a_killed_holder_ends_its_tickets_at_once_and_no_others(
    folder: Path, child: subprocess.Popen[bytes]
) -> None:
    async with office(folder) as here:
        one, ticket = await here.make(pid=child.pid)
        two, _ = await here.make(pid=child.pid, ttl=60)
        other, _ = await here.make()
        child.send_signal(signal.SIGKILL)
        async with limit(10):
            while len(here.ended) < 2:
                await here.heard.wait()
                here.heard = anyio.Event()
        assert here.ended == [one.id, two.id]
        assert here.refusal(ticket) == "that ticket is no longer good: the process that held it has ended"
        assert [shown.id for shown in here.tickets.shown()] == [other.id]


@LINUX
async def test_a_ticket_of_the_parent_outlives_the_command_that_asked(folder: Path) -> None:
    script = "sleep 600 & echo $!; read wait; kill -9 $!; wait"
    command_line = ["sh", "-c", script]
    with subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:  # noqa: ASYNC220  # starts at once
        assert shell.stdin
        assert shell.stdout
        command = int(await anyio.to_thread.run_sync(shell.stdout.readline))
        async with office(folder) as here:
            held, ticket = await here.make(pid=command, holder="parent")
            assert held.holder == shell.pid
            os.kill(command, signal.SIGKILL)
            here.tickets.check(ticket, "relay")
            shell.kill()
            async with limit(10):
                await here.heard.wait()


@LINUX
async def test_a_process_that_has_died_or_was_replaced_holds_nothing(
    folder: Path, child: subprocess.Popen[bytes]
) -> None:
    async with office(folder) as here:
        long_ago = Caller(uid=os.geteuid(), pid=child.pid, since=time.clock_gettime(time.CLOCK_BOOTTIME) - 60)
        with pytest.raises(Denied, match="the process that was to hold the ticket has ended"):
            await here.tickets.make(Asked(), "anthropic", long_ago)
        with pytest.raises(BadRequest, match="whose child"):
            await here.tickets.make(Asked(holder="parent"), "anthropic", long_ago)
        child.kill()
        child.wait()
        with pytest.raises(Denied, match="has ended"):
            await here.make(pid=child.pid)
        assert here.tickets.shown() == ()


@LINUX
async def test_who_cannot_hold_a_ticket_is_told_what_to_type(
    folder: Path, monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]
) -> None:
    async with office(folder) as here:
        for pid, why in ((1, "the process that asks is process 1, which never ends"), (0, "cannot be seen from here")):
            with pytest.raises(BadRequest, match=why) as failure:
                await here.tickets.make(Asked(), "anthropic", Caller(uid=0, pid=pid))
            assert failure.value.hint == "aixtiv ticket new --lasting"
        monkeypatch.setattr(presence, "process", lambda pid: presence.Process(pid, 1, 0, "0"))
        with pytest.raises(BadRequest, match="the process that started this command is process 1"):
            await here.make(pid=child.pid, holder="parent")
        others = {child.pid: os.getpid(), os.getpid(): 77}
        monkeypatch.setattr(presence, "process", lambda pid: presence.Process(pid, others[pid], os.geteuid() + 1, "0"))
        with pytest.raises(Denied, match="is another user's") as denied:
            await here.make(pid=child.pid, holder="parent", account="github")
        assert denied.value.hint == "aixtiv ticket new github --lasting"
        monkeypatch.setattr(presence, "process", lambda _: None)
        with pytest.raises(BadRequest, match="does not say whose child"):
            await here.make(pid=child.pid, holder="parent")
