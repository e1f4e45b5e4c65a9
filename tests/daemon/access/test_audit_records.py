"""What stands in a record of the audit log, and what cannot: no secret, no control character, nothing endless."""

import errno
import json
import string
from pathlib import Path
from typing import get_type_hints

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv_protocol import requests
from aixtiv_protocol.replies import AuditRecord
from aixtivd.access import audit
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


async def test_tokens_handed_out_soon_after_one_another_are_one_record_that_says_how_many_and_when(
    folder: Path,
) -> None:
    async with desk(folder) as here:
        for at in (10.25, 10.5, 10.75):
            here.token(CALLER, "github", at)
        here.token(CALLER, "anthropic", 10.6)
        here.token(CALLER_WITHOUT_TICKET, "github", 10.7)
        here.note("lock", DAEMON)
        here.token(CALLER, "github", 11.0)
        told = [(one.what, one.account, one.pid, one.at, one.count, one.last_at) for one in await here.all()]
        assert told == [
            ("token", "github", 4711, 10.25, 4, 11.0),
            ("token", "anthropic", 4711, 10.6, 1, 0.0),
            ("token", "github", 4711, 10.7, 1, 0.0),
            ("lock", "", 0, here.clock.wall(), 1, 0.0),
        ]
        assert (await here.all())[0].ticket == CALLER.ticket
        assert "count" not in json.loads(lines(folder)[1]), "of one, nothing is said that was not said before"
        assert (await here.verify()).intact


async def test_what_was_written_counts_no_more(folder: Path) -> None:
    async with desk(folder) as here:
        for at in (1.0, 2.0, 3.0):
            here.token(CALLER, "github", at)
            await here.flush()
        here.token(CALLER, "github", 4.0)
        here.token(CALLER, "github", 5.0)
        assert [(one.at, one.count) for one in await here.all()] == [(1.0, 1), (2.0, 1), (3.0, 1), (4.0, 2)]


async def test_each_token_is_counted_once_though_the_disk_takes_nothing_for_a_while(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(folder) as here:
        await here.flush()
        for at in (1.0, 2.0):
            here.token(CALLER, "github", at)

        async def full(*_: object) -> None:
            here.token(CALLER, "github", 3.0)  # while it is tried to write the others
            await anyio.lowlevel.checkpoint()
            raise OSError(errno.ENOSPC, "no space left on device")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(here._book, "write", full)
            await here.flush()
        assert here.problem
        here.token(CALLER, "github", 4.0)
        assert [(one.at, one.count, one.last_at) for one in await here.all()] == [(1.0, 2, 2.0), (3.0, 2, 4.0)]


async def test_of_what_found_no_room_each_token_is_counted_as_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_MOST", 2)
    async with desk(folder) as here:
        for account in ("one", "two", "three", "three", "one"):
            here.token(CALLER, account, 1.0)
        told = [(one.account, one.count, one.detail) for one in await here.all()]
        assert told == [("one", 2, ""), ("two", 1, ""), ("", 1, "2 records could not be written")]


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
