"""Tickets: good for one account, some verbs and a time, while their holder lives; known by their hash alone."""

import os
import re
from pathlib import Path

import pytest

from aixtiv_protocol.requests import Ticket as Asked
from aixtiv_protocol.secret import Secret
from aixtivd.access import tickets as module
from aixtivd.access.caller import Caller
from aixtivd.access.ticket import Held
from aixtivd.access.tickets import PREFIX
from aixtivd.errors import BadRequest, Busy, Denied, NoAccount
from peers.clock import FakeClock, limit, settle
from peers.office import office


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
        assert failure.value.hint == "aixtiv ticket new ACCOUNT --verb token", "whose it is, is not told to who has it"
        await here.tickets.revoke(here.tickets.shown()[0].id)
        with pytest.raises(Denied) as failure:
            here.tickets.check(ticket, "relay")
        assert "github" not in failure.value.sentence + failure.value.hint


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
