"""Tickets: good for one account, some verbs and a time, while their holder lives; known by their hash alone."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from aixtiv_protocol.requests import Ticket as Asked
from aixtiv_protocol.secret import Secret
from aixtivd.access import presence
from aixtivd.access import tickets as module
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.access.ticket import Held, digest
from aixtivd.access.tickets import PREFIX, Tickets
from aixtivd.errors import AixtivError, BadRequest, Busy, Denied, Locked, NoAccount, StoreFailed
from aixtivd.vault.vault import Vault
from peers.clock import FakeClock, limit, settle
from peers.disks import small_disk
from peers.leaks import files_under, leaks
from peers.vaults import crashed, image, inside, opened

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's kernel")


def me(pid: int = 0) -> Caller:
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Caller(uid=os.geteuid(), pid=pid or os.getpid(), program="/usr/bin/tool", since=now)


class Office:
    """Tickets that run, and who heard of their end."""

    def __init__(self, vault: Vault, folder: Path, clock: FakeClock) -> None:
        self.tickets = Tickets(vault, Audit(folder, vault, clock), clock)
        self.vault = vault
        self.clock = clock
        self.ended: list[str] = []
        self.heard = anyio.Event()
        self.tickets.ended.append(self._hear)

    def _hear(self, held: Held) -> None:
        self.ended.append(held.id)
        self.heard.set()

    async def make(self, account: str = "anthropic", *, pid: int = 0, **asked: object) -> tuple[Held, Secret]:
        return await self.tickets.make(Asked(account=account, **asked), account, me(pid))  # type: ignore[arg-type]  # a test's own words

    def refusal(self, ticket: Secret, verb: str = "relay") -> str:
        with pytest.raises(AixtivError) as failure:
            self.tickets.check(ticket, verb)  # type: ignore[arg-type]  # a test's own words
        assert isinstance(failure.value, Denied | Locked)
        return failure.value.sentence


@asynccontextmanager
async def office(folder: Path, clock: FakeClock | None = None, *, started: bool = True) -> AsyncIterator[Office]:
    clock = clock or FakeClock()
    async with opened(folder, clock=clock) as vault, anyio.create_task_group() as tasks:
        made = Office(vault, folder, clock)
        await tasks.start(made.tickets.run)
        if started:
            await made.tickets.start()
        yield made
        tasks.cancel_scope.cancel()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as running:
        yield running
        running.kill()


async def test_a_ticket_is_256_random_bits_behind_its_prefix(folder: Path) -> None:
    async with office(folder) as here:
        made = [(await here.make())[1].reveal() for _ in range(50)]
        assert len(set(made)) == 50
        for ticket in made:
            assert re.fullmatch(PREFIX + r"[A-Za-z0-9_-]{43}", ticket)


async def test_a_ticket_says_whose_it_is_and_what_for(folder: Path) -> None:
    async with office(folder) as here:
        held, ticket = await here.make("github", verbs=("token", "relay", "token"), ttl=60, name="ci")
        assert here.tickets.check(ticket, "relay") == here.tickets.check(ticket, "token") == held
        assert (held.account, held.verbs, held.name, held.holder) == ("github", ("token", "relay"), "ci", os.getpid())
        (shown,) = here.tickets.shown()
        assert (shown.id, shown.expires_at - shown.made_at, shown.used_at) == (held.id, 60, int(here.clock.wall()))
        assert shown.program == "/usr/bin/tool"


@pytest.mark.parametrize(
    "change",
    [lambda t: t[:-1], lambda t: t + "A", lambda t: t.swapcase(), lambda t: PREFIX + "A" * 43, lambda _: "", str.strip],
)
async def test_whatever_is_not_the_very_ticket_is_none(folder: Path, change: object) -> None:
    async with office(folder) as here:
        _, ticket = await here.make()
        text = change(ticket.reveal()) if change is not str.strip else f"\udcff{ticket.reveal()}"  # type: ignore[operator]  # one of those above
        assert here.refusal(Secret(text)) == "that is no ticket of this daemon's"
        assert here.tickets.shown()[0].used_at == 0


async def test_a_ticket_for_relaying_does_not_show_the_token(folder: Path) -> None:
    async with office(folder) as here:
        _, ticket = await here.make("github")
        with pytest.raises(Denied) as failure:
            here.tickets.check(ticket, "token")
        assert failure.value.sentence == "this ticket is good for relay, not for token"
        assert failure.value.hint == "aixtiv ticket new github --verb token"


@pytest.mark.parametrize("pass_time", ["advance", "sleep", "set_wall"])
async def test_a_ticket_expires_whichever_clock_says_so(folder: Path, pass_time: str) -> None:
    """Also while the machine sleeps, and where the wall clock is set forward."""
    async with office(folder) as here:
        held, ticket = await here.make(ttl=3600, holder="none")
        getattr(here.clock, pass_time)(3599)
        assert here.tickets.check(ticket, "relay") == held
        getattr(here.clock, pass_time)(2)
        assert here.refusal(ticket) == "that ticket is no longer good: it has expired"
        assert (here.ended, here.tickets.shown()) == ([held.id], ())


async def test_setting_the_wall_clock_back_makes_no_ticket_live_longer(folder: Path) -> None:
    clock = FakeClock()
    async with office(folder, clock) as here:
        _, ticket = await here.make(ttl=3600, holder="none")
        here.clock.set_wall(-86400)
        here.clock.advance(3601)
        assert "expired" in here.refusal(ticket)
        _, lasting = await here.make(ttl=3600, holder="none")
    clock.set_wall(-86400)
    async with office(folder, clock) as again:
        again.tickets.check(lasting, "relay")
        again.clock.advance(3601)
        assert "expired" in again.refusal(lasting)


async def test_an_end_is_told_without_anybody_asking(folder: Path) -> None:
    async with office(folder) as here:
        held, _ = await here.make(ttl=30)
        await settle()
        here.clock.advance(31)
        async with limit(10):
            await here.heard.wait()
        assert here.ended == [held.id]


async def test_while_nothing_can_expire_there_is_no_timer(folder: Path) -> None:
    async with office(folder) as here:
        await here.make()
        await here.make(holder="none")
        await settle()
        assert set(here.clock.pauses) == {None}


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


async def test_what_makes_no_sense_is_not_made(folder: Path) -> None:
    async with office(folder) as here:
        with pytest.raises(BadRequest, match="good for something"):
            await here.make(verbs=())
        for name in ("x" * 101, "two\nlines", "\x1b[31m"):
            with pytest.raises(BadRequest, match="one line"):
                await here.make(name=name)
        shown = Caller(uid=os.geteuid(), pid=os.getpid(), ticket="abcd")
        with pytest.raises(Denied, match="no other ticket"):
            await here.tickets.make(Asked(), "anthropic", shown)


async def test_what_nobody_holds_survives_a_restart_and_the_rest_does_not(folder: Path) -> None:
    clock = FakeClock()
    async with office(folder, clock) as here:
        lasting, one = await here.make("github", holder="none", name="profile", verbs=("token",))
        timed, two = await here.make(holder="none", ttl=3600)
        _, short = await here.make(holder="none", ttl=60)
        _, mine = await here.make()
    clock.advance(1800)
    async with office(folder, clock) as again:
        assert again.tickets.check(one, "token") == lasting
        assert again.tickets.check(two, "relay") == timed
        for gone in (short, mine):
            assert again.refusal(gone) == "that is no ticket of this daemon's"
        assert [shown.id for shown in again.tickets.shown()] == [lasting.id, timed.id]
        again.clock.advance(1801)
        assert "expired" in again.refusal(two)


async def test_a_kill_after_a_ticket_was_handed_out_does_not_lose_it(folder: Path) -> None:
    async with office(folder) as here:
        held, ticket = await here.make(holder="none")
        copy = crashed(folder)
    async with office(copy) as again:
        assert again.tickets.check(ticket, "relay") == held


async def test_neither_ticket_nor_hash_nor_name_can_be_read_on_disk(folder: Path) -> None:
    async with office(folder) as here:
        _, ticket = await here.make("github/personal-account", holder="none", name="for-the-notebook")
        hash_ = digest(ticket)
        places = files_under(folder)
        assert leaks([ticket.reveal().removeprefix(PREFIX), "for-the-notebook", "github/personal"], places) == []
        assert not any(hash_ in content or hash_.hex().encode() in content for content in places.values())


async def test_before_the_lasting_ones_are_known_a_ticket_is_locked_and_not_wrong(folder: Path) -> None:
    async with office(folder) as here:
        _, ticket = await here.make(holder="none")
    async with office(folder, started=False) as again:
        assert again.refusal(ticket).startswith("the vault is locked")
        for word in ("anything", ""):
            with pytest.raises(Locked):
                await again.tickets.revoke(word)
        with pytest.raises(Locked):
            await again.make(holder="none")
        held, own = await again.make()
        assert again.tickets.check(own, "relay") == held
        await again.tickets.start()
        again.tickets.check(ticket, "relay")
        again.tickets.check(own, "relay")


async def test_locking_keeps_tickets_and_makes_no_lasting_ones(folder: Path, child: subprocess.Popen[bytes]) -> None:
    async with office(folder) as here:
        kept, ticket = await here.make(holder="none", name="profile")
        held, _ = await here.make(pid=child.pid)
        await here.vault.lock()
        here.tickets.lock()
        here.tickets.check(ticket, "relay")
        with pytest.raises(Locked):
            await here.make(holder="none", ttl=60)
        with pytest.raises(Locked, match="cannot be revoked"):
            await here.tickets.revoke("profile")
        assert len(here.tickets.shown()) == 2
        child.kill()
        async with limit(10):
            await here.heard.wait()
        assert here.ended == [held.id]
        await here.vault.unlock()
        await here.tickets.start()
        assert [shown.id for shown in here.tickets.shown()] == [kept.id]
        assert await here.tickets.revoke("profile") == 1


async def test_tickets_are_revoked_by_id_else_by_name(folder: Path) -> None:
    clock = FakeClock()
    async with office(folder, clock) as here:
        one, ticket = await here.make(holder="none", name="ci")
        two, _ = await here.make(name="ci")
        three, _ = await here.make(name=one.id)
        assert await here.tickets.revoke(one.id) == 1
        assert here.refusal(ticket) == "that ticket is no longer good: it was revoked"
        assert await here.tickets.revoke("ci") == 1
        assert here.ended == [one.id, two.id]
        for word in ("ci", two.id, "", "nobody"):
            with pytest.raises(NoAccount) as failure:
                await here.tickets.revoke(word)
            assert (failure.value.sentence, failure.value.hint) == (
                f"there is no ticket {word!r}",
                "aixtiv ticket list",
            )
        assert [shown.id for shown in here.tickets.shown()] == [three.id]
    async with office(folder, clock) as again:
        assert again.refusal(ticket) == "that is no ticket of this daemon's"


async def test_beyond_the_most_the_oldest_that_expires_and_nobody_holds_makes_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 4)
    async with office(folder) as here:
        await here.make(holder="none", name="profile")
        await here.make(ttl=60)
        oldest, ticket = await here.make(holder="none", ttl=3600)
        newer, _ = await here.make(holder="none", ttl=60)
        await here.make()
        assert here.ended == [oldest.id]
        assert here.refusal(ticket) == "that ticket is no longer good: newer ones took its place"
        await here.make()
        assert here.ended == [oldest.id, newer.id]
        with pytest.raises(Busy, match="there are 4 tickets already"):
            await here.make()
        here.clock.advance(61)
        await here.make()


async def test_on_a_full_disk_a_ticket_with_a_limit_is_good_and_one_without_is_not_made(folder: Path) -> None:
    clock = FakeClock()
    with small_disk(folder) as disk:
        async with office(disk.home, clock) as here:
            _, before = await here.make(holder="none", name="before")
            disk.fill()
            names = [f"{number}".ljust(100, "x") for number in range(200)]  # more than the WAL has room for
            made = [(await here.make(holder="none", ttl=3600, name=name))[1] for name in names]
            here.tickets.check(made[-1], "relay")
            with pytest.raises(StoreFailed, match="is full"):
                await here.make(holder="none")
            assert len(here.tickets.shown()) == 201
            with pytest.raises(StoreFailed, match="it is over, but the store does not know it yet") as failure:
                await here.tickets.revoke("before")
            assert "is full" in failure.value.sentence
            assert "revoked" in here.refusal(before)
            disk.make_room()
            _, after = await here.make(holder="none")
        async with office(disk.home, clock) as again:
            for ticket in (*made, after):
                again.tickets.check(ticket, "relay")
            assert again.refusal(before) == "that is no ticket of this daemon's"


async def test_a_list_that_was_put_back_lets_nobody_in(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with office(folder) as here:
        _, ticket = await here.make(holder="none")
    with inside(folder) as db:
        db.execute("UPDATE notes SET generation = generation + 1")
    before = image(folder)
    async with office(folder) as again:
        assert again.refusal(ticket) == "that is no ticket of this daemon's"
        assert "tickets-damaged" in caplog.messages
    assert image(folder) == before
    async with office(folder) as again:
        _, new = await again.make(holder="none")
    async with office(folder) as once_more:
        once_more.tickets.check(new, "relay")


async def test_a_listener_that_fails_keeps_no_ticket_alive(folder: Path) -> None:
    async with office(folder) as here:

        def fail(_: Held) -> None:
            raise RuntimeError

        here.tickets.ended.insert(0, fail)
        held, ticket = await here.make()
        await here.tickets.revoke(held.id)
        assert here.ended == [held.id]
        assert "revoked" in here.refusal(ticket)


async def test_the_port_of_a_ticket_is_shown(folder: Path) -> None:
    async with office(folder) as here:
        held, _ = await here.make()
        here.tickets.opened(held.id, 4711)
        here.tickets.opened("another", 4712)
        assert here.tickets.shown()[0].port == 4711


async def test_many_made_at_once_are_all_there_after_a_restart(folder: Path) -> None:
    made: list[Secret] = []
    async with office(folder) as here:

        async def one() -> None:
            made.append((await here.make(holder="none"))[1])

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(one)
    async with office(folder) as again:
        assert len([again.tickets.check(ticket, "relay") for ticket in made]) == 30
