"""As many tickets as there can be, each as long as can be: they are listed, stored and left to the next daemon."""

import os
from pathlib import Path

import msgspec
import pytest

from aixtiv_protocol.codec import FRAME_CAP
from aixtiv_protocol.replies import TicketShown
from aixtiv_protocol.requests import Ticket as Asked
from aixtivd.access.bequest import packed
from aixtivd.access.caller import Caller
from aixtivd.access.ticket import Held, Ticket, page
from aixtivd.access.tickets import MOST
from aixtivd.errors import BadRequest
from aixtivd.host import succession
from aixtivd.host.succession import Will
from peers.office import me, office


def longest(number: int) -> Ticket:
    """As nobody could make them but on purpose."""
    held = Held(
        id=f"{number:08x}",
        account="a" * 100,
        verbs=("relay", "token"),
        name="\U0001f511" * 100,
        made_at=1_795_000_000.0 - number,
        expires_at=1_795_000_000.0,
        holder=4_194_304,
        program="\U0001f511" * 500,
        executable="e" * 2048,
        script="s" * 1792,
        unit="u" * 256,
    )
    return Ticket(os.urandom(32), held, 1e9)


def test_all_of_them_are_listed_each_once_in_answers_that_fit() -> None:
    there = [longest(number).shown() for number in range(MOST)]
    found: list[TicketShown] = []
    more = True
    while more:
        shown = page(there, found[-1].id if found else "", bool)
        assert len(msgspec.json.encode(shown)) <= FRAME_CAP
        found += shown.tickets
        more = shown.more
    assert found == there


def test_those_that_fit_into_one_answer_are_told_oldest_first_and_only_those_of_accounts_that_are_listed() -> None:
    there = [longest(number).shown() for number in (2, 1, 3)]
    assert page(there, "", bool).tickets == tuple(there)
    assert page(there, "00000001", bool).tickets == (there[0], there[2])
    other = msgspec.structs.replace(there[0], account="other")
    assert page([*there, other], "", lambda account: account == "other").tickets == (other,)


def test_a_will_with_all_of_them_can_be_read() -> None:
    will = Will(tickets=tuple(packed(longest(number), "1" * 20) for number in range(MOST)), locked="it was locked")
    assert succession.read(succession._written(will)) == will


async def test_a_program_of_names_without_end_is_given_none_and_nothing_of_a_long_one_is_left_out_for_rules(
    folder: Path,
) -> None:
    asked = Asked(account="anthropic")
    async with office(folder) as here:
        long = msgspec.structs.replace(me(), program="p" * 5000, executable="e" * 4000)
        held, _ = await here.tickets.make(asked, "anthropic", long)
        assert (len(held.program), held.shown_by(Caller(uid=0, pid=0)).executable) == (500, "e" * 4000)
        with pytest.raises(BadRequest, match="more than 4096 bytes"):
            await here.tickets.make(asked, "anthropic", msgspec.structs.replace(long, script="\u00fc" * 50))
