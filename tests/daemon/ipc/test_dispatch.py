"""Which request reaches which part, whose account counts with a ticket, and what the audit log is told."""

from pathlib import Path
from typing import Any

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.access.denials import AT_ONCE
from peers.held import Caller, serving
from peers.relayed import GOOD

BAD = Secret("aixtiv-ticket-bad")


async def answer(caller: Caller, asked: requests.Request) -> Any:
    caller.say(asked)
    return await caller.hear()


async def the_stream(caller: Caller, asked: requests.Request) -> list[Any]:
    items = [await answer(caller, asked)]
    while not isinstance(items[-1], replies.End | replies.Failure):
        items.append(await caller.hear())
    return items


async def test_a_token_in_memory_is_audited_with_who_asked(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        await answer(caller, requests.Token(account="fresh", agent="builder-7"))
        await answer(caller, requests.Token(account="fresh", form="bare"))
        side.accounts.let_go()
        await answer(caller, requests.Token(account="slow"))
        assert side.notes.said() == [
            ("token", True, "fresh", ""),
            ("token", True, "fresh", ""),
            ("token", True, "slow", ""),
        ]
        assert [note["caller"].agent for note in side.notes.notes] == ["builder-7", "", ""]
        assert all(note["caller"].pid > 0 for note in side.notes.notes)


async def test_a_token_for_a_ticket_is_that_of_its_account_and_says_so_in_the_log(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        side.accounts.let_go()
        assert (await answer(caller, requests.Token(ticket=GOOD))).account == "claude"
        assert await answer(caller, requests.Token(ticket=GOOD, account="claude", form="bare")) == Secret(
            "token-of-claude"
        )
        assert side.notes.said() == [("token", True, "claude", "")] * 2
        assert [note["caller"].ticket for note in side.notes.notes] == ["t1", "t1"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (requests.Token(account="big", ticket=GOOD), "that ticket is for another account"),
        (requests.Token(account="claude", ticket=BAD), "that is no ticket of this daemon's"),
        (requests.Relay(path="/v1/echo", account="big", ticket=GOOD), "for another account"),
        (requests.Relay(path="/v1/echo", ticket=BAD), "that is no ticket of this daemon's"),
    ],
)
async def test_a_ticket_opens_its_own_account_and_nothing_else(
    folder: Path, asked: requests.Token | requests.Relay, sentence: str
) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        failure = await answer(caller, asked)
        assert (failure.code, sentence in failure.message) == ("denied", True)
        assert (side.upstream.calls, side.accounts.asked) == ([], [])
        ((what, ok, account, detail),) = side.notes.said()
        assert (what, ok, account, sentence in detail) == ("denied", False, asked.account, True)


async def test_a_loop_of_denied_requests_fills_no_log_and_how_many_they_were_is_told(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        for _ in range(AT_ONCE + 30):
            assert (await answer(caller, requests.Token(account="claude", ticket=BAD))).code == "denied"
        assert AT_ONCE <= len(side.notes.notes) <= AT_ONCE + 5  # one in six seconds more, on a busy machine
        side.dispatch.close()
        what, ok, account, detail = side.notes.said()[-1]
        assert (what, ok, account) == ("denied", False, "claude")
        assert detail.endswith(" more before it were not recorded")


@pytest.mark.parametrize("asked", [requests.Token(account="unreachable"), requests.Logout(account="nobody")])
async def test_a_loop_of_requests_that_fail_fills_no_log_either(folder: Path, asked: requests.Request) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        for _ in range(AT_ONCE + 30):
            assert (await answer(caller, asked)).code in {"unreachable", "no_account"}
        assert AT_ONCE <= len(side.notes.notes) <= AT_ONCE + 5  # as above
        side.dispatch.close()
        assert "more before it were not recorded" in side.notes.notes[-1]["detail"]
        assert not any(side.dispatch._denials.counted.values())


async def test_a_relay_with_a_ticket_goes_to_its_account_and_brings_no_key(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        await the_stream(caller, requests.Relay(path="/v1/early", ticket=GOOD, agent="a"))
        (call,) = side.upstream.calls
        assert (call.account, call.caller.ticket, call.caller.agent) == ("claude", "t1", "a")
        failure = await answer(caller, requests.Relay(path="/v1/early", ticket=GOOD, api_key=Secret("mine")))
        assert (failure.code, len(side.upstream.calls)) == ("bad_request", 1)


async def test_a_relay_without_an_account_leaves_the_choice_to_the_relay(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        await the_stream(caller, requests.Relay(path="/v1/early", api_key=Secret("mine")))
        (call,) = side.upstream.calls
        assert call.account == ""
        assert call.api_key == Secret("mine")
        assert side.notes.notes == [], "the relay tells what became of it"


async def test_a_ticket_is_made_for_an_account_that_there_is(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        asked = requests.Ticket(ttl=60, name="editor", agent="a")
        made = await answer(caller, asked)
        assert made == replies.TicketMade(
            ticket=GOOD, id="t2", account="claude", verbs=("relay",), expires_at=9, socket="/run/claude.sock"
        )
        ((told, account, who),) = side.drawer.made
        assert (told, account, who.agent, who.pid > 0) == (asked, "claude", "a", True)
        assert (await answer(caller, requests.Ticket(account="nobody"))).code == "no_account"
        assert side.notes.said() == [
            ("ticket", True, "claude", "t2, good for relay"),
            ("ticket", False, "", "there is nothing of that name"),
        ]


async def test_a_ticket_has_the_gateways_fixed_port_or_one_of_its_own(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        side.door.port = 3777
        side.door.path = None
        made = await answer(caller, requests.Ticket())
        assert (made.base_url, made.socket) == ("http://127.0.0.1:3777", "")
        assert (await answer(caller, requests.Ticket(port=True))).base_url == "http://127.0.0.1:40001"
        assert side.door.opening == ["t2"]


async def test_a_ticket_whose_port_comes_too_late_for_its_caller_is_revoked(folder: Path) -> None:
    async with serving(folder) as side:
        side.door.held_back = True
        async with await side.caller() as caller:
            caller.say(requests.Ticket(port=True))
            await side.until(lambda: side.door.opening)
        await side.until(lambda: side.drawer.revoked == ["t2"])


@pytest.mark.parametrize(
    ("word", "note"), [("t1", "1 ticket has ended"), ("twins", "2 tickets have ended"), ("hunter2", "")]
)
async def test_a_ticket_is_revoked_by_a_word_and_a_wrong_word_is_not_kept(folder: Path, word: str, note: str) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        done = await answer(caller, requests.RevokeTicket(ticket=word))
        assert getattr(done, "note", "") == note
        ((what, ok, _, detail),) = side.notes.said()
        assert (what, ok, "hunter2" in detail) == ("ticket-end", bool(note), False)


async def test_tickets_audit_usage_and_examination_are_answered(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        shown = await answer(caller, requests.Tickets())
        assert [ticket.id for ticket in shown.tickets] == ["t1"]
        records = await the_stream(caller, requests.Audit(limit=2, account="x"))
        assert [record.number for record in records[:-1]] == [1, 2]
        assert await answer(caller, requests.Audit(verify=True)) == replies.AuditVerdict(intact=True, records=3)
        assert await answer(caller, requests.Usage(since=7)) == replies.UsageReport(rows=(), since=7)
        assert (await answer(caller, requests.Examine(account="x"))).findings[0].account == "x"
        assert side.notes.notes == [], "looking is not audited"


async def test_what_hangs_on_the_vault_follows_it(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        assert isinstance(await answer(caller, requests.Lock()), replies.Done)
        assert isinstance(await answer(caller, requests.Unlock(passphrase=Secret("right"))), replies.Done)
        assert side.notes.calls == [
            "audit.flush",
            "accounts.lock",
            "accounts.unlock",
            "tickets.start",
            "audit.unlocked",
        ]
        assert [note[:2] for note in side.notes.said()] == [("lock", True), ("unlock", True)]


async def test_a_wrong_passphrase_is_audited_and_opens_nothing(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        side.accounts.locked = True
        assert (await answer(caller, requests.Unlock(passphrase=Secret("hunter2")))).code == "key_failed"
        assert side.notes.calls == []
        assert side.notes.said() == [("unlock", False, "", "that is not the passphrase")]


async def test_an_unlock_whose_caller_hangs_up_still_brings_the_tickets_back(folder: Path) -> None:
    async with serving(folder) as side:
        side.accounts.locked = True
        async with await side.caller() as caller:
            caller.say(requests.Unlock(passphrase=Secret("slow")))
            await side.accounts.until_asked("unlock")
        await side.listener.empty()
        side.accounts.let_go()
        async with await side.caller() as next_one:
            assert isinstance(await answer(next_one, requests.Lock()), replies.Done)
        assert side.notes.calls[:3] == ["accounts.unlock", "tickets.start", "audit.unlocked"]


async def test_who_begins_a_sign_in_and_who_signs_out_is_in_the_log(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        await the_stream(caller, requests.Login(account="github"))
        await the_stream(caller, requests.Login(account="ant", source=requests.Command(command=("/bin/ant",))))
        await answer(caller, requests.Logout(account="fresh"))
        await answer(caller, requests.Logout(account="hunter2"))
        await answer(caller, requests.ApiKey(account="claude", key=Secret("sk-hunter2")))
        await answer(caller, requests.ApiKey(account="claude"))
        assert side.notes.said() == [
            ("sign-in", True, "github", "began a sign-in"),
            ("sign-in", False, "github", "the person said no"),
            ("sign-in", True, "ant", "asked for a sign-in without browser"),
            ("sign-out", True, "fresh", ""),
            ("sign-out", False, "", "there is nothing of that name"),
            ("api-key", True, "claude", "stored"),
            ("api-key", True, "claude", "removed"),
        ]


@pytest.mark.parametrize(
    ("asked", "what", "detail"),
    [
        (requests.Ticket(account="hunter2"), "ticket", "there is nothing of that name"),
        (requests.Login(account="malformed hunter2"), "sign-in", "it was not understood"),
        (requests.ApiKey(account="malformed hunter2", key=Secret("k")), "api-key", "it was not understood"),
        (requests.ApiKey(account="quoted hunter2", key=Secret("k")), "api-key", "it failed: misconfigured"),
        (
            requests.Token(account="hunter2", ticket=GOOD),
            "denied",
            "that ticket is for another account",
        ),
        (
            requests.Relay(path="/", account="hunter2", ticket=GOOD),
            "denied",
            "that ticket is for another account",
        ),
        (requests.Logout(account="hunter2"), "sign-out", "there is nothing of that name"),
        (requests.Rename(account="hunter2", to="claude"), "account", "there is nothing of that name"),
    ],
)
async def test_what_was_typed_in_a_names_place_is_not_kept(
    folder: Path, asked: requests.Request, what: str, detail: str
) -> None:
    """A password, perhaps; and the log is for ever."""
    async with serving(folder) as side, await side.caller() as caller:
        assert isinstance(await answer(caller, asked), replies.Failure)
        ((told, ok, account, sentence),) = side.notes.said()
        assert (told, ok, account, sentence) == (what, False, "", detail)


async def test_nor_what_was_typed_as_another_name_and_what_it_was_called_is(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        for to in ("quoted hunter2", "malformed hunter2", "work"):
            await answer(caller, requests.Rename(account="", to=to))
        assert side.notes.said() == [
            ("account", False, "claude", "it failed: misconfigured"),
            ("account", False, "claude", "it was not understood"),
            ("account", True, "work", "it was called claude"),
        ]


async def test_a_token_for_a_ticket_that_ends_meanwhile_is_not_handed_out(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        caller.say(requests.Token(ticket=GOOD))
        await side.accounts.until_asked("claude")
        side.drawer.end()
        failure = await caller.hear()
        assert isinstance(failure, replies.Failure)
        assert (failure.code, failure.message) == ("denied", "the ticket of this request has ended")
        assert side.accounts.cancelled == ["claude"]
        assert side.notes.said() == [("denied", False, "claude", "the ticket of this request has ended")]


async def test_who_wanted_a_refresh_and_who_went_without_a_token_is_in_the_log(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        await answer(caller, requests.Refresh(account="fresh", agent="builder-7"))
        await answer(caller, requests.Token(account="unreachable", agent="builder-7"))
        told = [(note["what"], note["ok"], note["caller"].agent) for note in side.notes.notes]
        assert told == [("refresh", True, "builder-7"), ("oauth2_token_error", False, "builder-7")]


async def test_reload_and_stop_are_audited(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        await answer(caller, requests.Reload())
        await answer(caller, requests.Stop())
        assert [note[0] for note in side.notes.said()] == ["reload", "stop"]


async def test_looking_and_defects_are_not_audited(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        for asked in (requests.Hello(), requests.Status(), requests.Accounts(), requests.Token(account="broken")):
            await answer(caller, asked)
        assert side.notes.notes == []
