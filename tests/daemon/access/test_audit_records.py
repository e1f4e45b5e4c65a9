"""What stands in a record of the audit log, and what cannot: no secret, no control character, nothing endless."""

import json
import string
from pathlib import Path
from typing import get_type_hints

import anyio
from hypothesis import given
from hypothesis import strategies as st

from aixtiv_protocol import requests
from aixtiv_protocol.replies import AuditRecord
from aixtivd.access.caller import DAEMON, Caller
from aixtivd.access.note import LONGEST, clean
from aixtivd.access.tickets import Tickets
from peers.audits import CALLER, desk, lines
from peers.leaks import files_under, leaks

ODD = st.text(st.characters(), max_size=600)
CALLER_WITHOUT_TICKET = Caller(uid=1000, pid=4711)


async def test_a_record_says_what_happened_for_whom_and_who_asked(folder: Path) -> None:
    async with desk(folder) as here:
        here.note(
            "relay",
            CALLER,
            account="anthropic",
            detail="POST /v1/messages",
            status=200,
            sent=812,
            received=20480,
            kind="oauth",
        )
        here.note("denied", DAEMON, ok=False, detail="no")
        one, two = await here.all()
        assert one == AuditRecord(
            number=1,
            at=here.clock.wall(),
            what="relay",
            account="anthropic",
            pid=4711,
            program="/usr/bin/claude",
            unit="claude.service",
            agent="agent-7",
            ticket="ab12cd34",
            detail="POST /v1/messages",
            status=200,
            sent=812,
            received=20480,
            kind="oauth",
        )
        assert (two.number, two.what, two.ok, two.pid, two.program) == (2, "denied", False, 0, "aixtivd")


@given(ODD)
def test_no_control_character_reaches_the_log_and_nothing_is_endless(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert len(cleaned) <= LONGEST
    cleaned.encode()


async def test_whatever_a_caller_calls_itself_the_log_stays_lines(folder: Path) -> None:
    caller = Caller(uid=1, pid=2, program="/tmp/\udcff\n{}", agent='\x1b[31m"\\\x00\u202e\x85\u2028', ticket="\r\n")
    async with desk(folder) as here:
        here.note("denied", caller, account="\n", detail="\x7f" + "y" * 10_000)
        (record,) = await here.all()
        assert (await here.verify()).intact
        assert len(record.detail) == LONGEST
    (line,) = lines(folder)
    assert all(letter in string.printable or ord(letter) > 0xA0 for letter in line.decode())
    assert len(line) < 4096


async def test_of_a_sentence_of_many_lines_the_first_is_kept(folder: Path) -> None:
    async with desk(folder) as here:
        here.note("sign-in", CALLER, ok=False, detail="it was refused:\r\n  1. this\n  2. that")
        (record,) = await here.all()
        assert record.detail == "it was refused:"


def test_no_field_of_a_record_could_hold_a_secret() -> None:
    """A walk over the type: numbers, yes or no, and texts that are each said to be something else."""
    harmless = {"what", "account", "program", "unit", "agent", "ticket", "detail", "kind"}  # `ticket` is its id
    for name, hint in get_type_hints(AuditRecord).items():
        assert hint in (int, float, bool) or (hint is str and name in harmless), name


async def test_what_is_logged_of_a_ticket_is_its_id(folder: Path) -> None:
    async with desk(folder) as here:
        tickets = Tickets(here.vault, here, here.clock)
        await tickets.start()
        held, ticket = await tickets.make(requests.Ticket(holder="none", ttl=5), "anthropic", CALLER_WITHOUT_TICKET)
        here.clock.advance(6)
        assert tickets.shown() == ()
        (record,) = await here.all()
        assert (record.what, record.account, record.ticket, record.detail) == (
            "ticket-end",
            "anthropic",
            held.id,
            "it has expired",
        )
        assert leaks([ticket.reveal().removeprefix("aixtiv-ticket-")], files_under(folder)) == []


def test_the_lines_are_json_for_every_other_program(folder: Path) -> None:
    async def write() -> None:
        async with desk(folder) as here:
            await here.happened("é", '"')

    anyio.run(write)
    assert [json.loads(line)["account"] for line in lines(folder)] == ["é", '"']
