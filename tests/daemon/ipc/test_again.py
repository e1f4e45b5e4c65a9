"""A token that is asked for again and again, in the same bytes: answered unread, and never from what was."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest
from anyio._core._eventloop import set_current_async_library
from msgspec.structs import replace

from aixtiv_protocol import codec, requests
from aixtiv_protocol.requests import Token
from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import Caller as Who
from aixtivd.access.rules import Rules
from aixtivd.accounts.book import Entry
from aixtivd.accounts.states import Freshness
from aixtivd.config import AccessConfig, Config, Rule
from aixtivd.ipc.dispatch import Dispatch, Known
from aixtivd.ipc.limits import Limits
from aixtivd.ipc.session import Session
from aixtivd.oauth.outcomes import NeedsSignIn
from peers.clock import FakeClock
from peers.held import PATIENCE, Caller, Controls
from peers.house import House, granted, opened
from peers.relayed import Door, Drawer, Notes, Upstream

GITHUB = Token(account="github")


class Watched(Dispatch):
    """Counts what was answered without being read."""

    repeated = 0

    def again(self, known: Known) -> bytes | None:
        answer = super().again(known)
        self.repeated += answer is not None
        return answer


class Talk:
    """One conversation with real accounts behind it."""

    def __init__(self, house: House, dispatch: Watched, session: Session, caller: Caller) -> None:
        self.house = house
        self.clock = house.clock
        self.dispatch = dispatch
        self.session = session
        self.caller = caller

    async def ask(self, asked: requests.Request) -> Any:
        self.caller.say(asked)
        return await self.caller.hear()

    async def twice(self, asked: Token = GITHUB) -> str:
        """So that it is known afterwards; the token."""
        first = await self.ask(asked)
        before = self.dispatch.repeated
        assert await self.ask(asked) == first
        assert self.dispatch.repeated == before + 1, "the second one was not read"
        return str(first.access_token.reveal())

    @property
    def entry(self) -> Entry:
        entry = self.house.accounts._book.find("github")
        assert entry
        return entry

    @property
    def rules(self) -> Rules:
        return self.dispatch._rules

    @property
    def known(self) -> list[bytes]:
        return list(self.session._again._known)


@asynccontextmanager
async def talking(folder: Path, limits: Limits | None = None) -> AsyncIterator[Talk]:
    set_current_async_library("asyncio")  # anyio.run does it for the daemon: callbacks start tasks
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    async with opened(folder, FakeClock()) as house, anyio.create_task_group() as tasks:
        await house.adopt("github")
        parts: dict[str, Any] = {"relay": Upstream(), "gateway": Door(), "tickets": Drawer(Notes()), "vault": None}
        dispatch = Watched(
            accounts=house.accounts,
            audit=house.audit,
            rules=Rules(Config()),
            control=Controls(),
            clock=house.clock,
            **parts,
        )
        gone = anyio.Event()
        session = Session(dispatch, tasks, limits or Limits(), lambda _: gone.set(), Who(uid=0, pid=4711))
        await asyncio.get_running_loop().connect_accepted_socket(lambda: session, ours)
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        async with Caller(reader, writer) as caller:
            yield Talk(house, dispatch, session, caller)
        session.finish()
        with anyio.fail_after(PATIENCE):
            await gone.wait()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("form", ["full", "bare"])
async def test_the_answer_is_the_same_whether_the_message_was_read_or_known(folder: Path, form: Any) -> None:
    async with talking(folder) as talk:
        asked = Token(account="github", form=form)
        answers = [await talk.ask(asked) for _ in range(4)]
        assert answers == [answers[0]] * 4
        assert Secret("access-0") in (answers[0], getattr(answers[0], "access_token", None))
        assert talk.dispatch.repeated == 3
        assert talk.dispatch._record.tokens == talk.dispatch.opening.idleness.requests == 4, "each one is counted"


async def test_lines_are_known_as_frames_are(folder: Path) -> None:
    async with talking(folder) as talk:
        for _ in range(3):
            talk.caller.write(b'{"op":"token","account":"github","form":"bare"}\n')
            assert await talk.caller.line() == "access-0\n"
        assert talk.dispatch.repeated == 2


async def test_the_tokens_of_a_few_accounts_may_be_asked_for_in_turn(folder: Path) -> None:
    async with talking(folder) as talk:
        names = [f"account-{number}" for number in range(6)]
        for name in names:
            await talk.house.adopt(name)
        for _ in range(3):
            for name in names[:4]:
                assert (await talk.ask(Token(account=name))).account == name
        assert talk.dispatch.repeated == 8
        for name in names * 2:
            assert (await talk.ask(Token(account=name))).account == name
        assert len(talk.known) <= 4, "what one caller says does not fill the memory"


async def test_once_a_rule_is_there_it_is_asked_each_time(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        talk.rules.reconfigure(Config(access=AccessConfig(default=())))
        for _ in range(2):
            assert (await talk.ask(GITHUB)).code == "denied"
        talk.rules.reconfigure(Config(rule=(Rule(allow=("token",)),)))
        seen = talk.dispatch.repeated
        for _ in range(3):
            assert (await talk.ask(GITHUB)).access_token == Secret("access-0")
        assert talk.dispatch.repeated == seen
        talk.rules.reconfigure(Config())
        await talk.twice()


async def test_an_account_that_is_made_relay_only_shows_its_token_no_more(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        talk.rules.reconfigure(Config(access=AccessConfig(relay_only=("github",))))
        assert "relay-only" in (await talk.ask(GITHUB)).message


async def test_a_locked_vault_has_no_token_and_the_next_unlock_the_present_one(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        said = talk.entry
        await talk.dispatch.opening.lock()
        assert (await talk.ask(GITHUB)).code == "locked"
        assert talk.known == []
        assert talk.house.accounts._book.find("github") is None
        await talk.dispatch.opening.unlock(requests.Unlock())
        assert talk.entry is not said
        assert (await talk.ask(GITHUB)).access_token == Secret("access-0")


async def test_from_the_moment_a_lock_is_asked_for_nothing_known_is_answered(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        with talk.dispatch.opening._turn():
            assert (await talk.ask(GITHUB)).code == "locked"
        assert (await talk.ask(GITHUB)).access_token == Secret("access-0")


async def test_where_nothing_can_be_recorded_nothing_known_is_handed_out(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        talk.house.audit.stopped = True
        assert "cannot be recorded" in (await talk.ask(GITHUB)).message
        talk.house.audit.stopped = False
        await talk.twice()


async def test_a_new_generation_is_served_from_the_moment_it_is_there(folder: Path) -> None:
    async with talking(folder) as talk:
        assert await talk.twice() == "access-0"
        talk.house.script.answers = [granted(1)]
        assert (await talk.ask(requests.Refresh(account="github"))).generation == 2
        assert await talk.twice() == "access-1"


async def test_a_known_request_is_still_what_brings_the_refresh_about(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        talk.house.script.answers = [granted(1)]
        talk.clock._wall += 3000  # inside the lead, without waking the scheduler
        talk.clock._steady += 3000
        assert (await talk.ask(GITHUB)).access_token == Secret("access-0")
        await talk.house.settle()
        assert talk.house.script.spent == ["refresh-0"]
        assert await talk.twice() == "access-1"


@pytest.mark.parametrize("clock", ["_wall", "_steady"])
async def test_what_has_expired_by_either_clock_is_not_served(folder: Path, clock: str) -> None:
    """A wall clock that was set back must not make an old token good."""
    async with talking(folder) as talk:
        await talk.twice()
        talk.house.script.answers = [granted(1)]
        setattr(talk.clock, clock, getattr(talk.clock, clock) + 3600)
        assert (await talk.ask(GITHUB)).access_token == Secret("access-1")


async def test_less_life_than_was_wanted_is_not_served(folder: Path) -> None:
    async with talking(folder) as talk:
        wants = Token(account="github", min_ttl=2800)
        await talk.twice(wants)
        await talk.twice()
        talk.clock._wall += 800.5
        talk.clock._steady += 800.5
        talk.house.script.answers = [granted(1)]
        assert (await talk.ask(GITHUB)).access_token == Secret("access-0")
        assert (await talk.ask(wants)).access_token == Secret("access-1")


async def test_a_scope_that_the_next_grant_has_not_is_not_handed_out(folder: Path) -> None:
    async with talking(folder) as talk:
        entry = talk.entry
        entry.adopt(replace(entry.grant, scopes=("read", "write")), talk.clock)
        wants = Token(account="github", scopes=("write",))
        await talk.twice(wants)
        entry.adopt(replace(entry.grant, scopes=("read",)), talk.clock)
        assert (await talk.ask(wants)).code == "scope_missing"


async def test_a_grant_that_was_put_aside_serves_its_token_until_that_expires_and_no_longer(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        talk.house.script.answers = [NeedsSignIn(reason="it is over")]
        await talk.ask(requests.Refresh(account="github"))
        assert talk.house.state("github").state == "quarantined"
        assert await talk.twice() == "access-0", "an unexpired token is served whatever became of its refresh (D7)"
        talk.clock._wall += 3600
        assert (await talk.ask(GITHUB)).code == "sign_in_needed"


async def test_an_account_that_was_signed_out_or_renamed_is_no_more(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        await talk.house.accounts.rename(requests.Rename(account="github", to="gitlab"))
        assert (await talk.ask(GITHUB)).code == "no_account"
        await talk.twice(Token(account="gitlab"))
        await talk.house.accounts.logout(requests.Logout(account="gitlab"))
        assert (await talk.ask(Token(account="gitlab"))).code == "no_account"


async def test_the_default_account_is_the_one_that_it_is_now(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice(Token())
        await talk.house.adopt("work")
        assert (await talk.ask(Token())).code == "no_account", "of two, none is the default"
        talk.house.accounts.reconfigure(talk.house.config(default_account="work"))
        assert (await talk.ask(Token())).account == "work"
        talk.house.accounts.reconfigure(talk.house.config(default_account="github"))
        assert (await talk.ask(Token())).account == "github"


async def test_a_caller_is_recorded_under_the_agent_that_it_named_each_time(folder: Path) -> None:
    async with talking(folder) as talk:
        for _ in range(3):
            for agent in ("one", "two"):
                await talk.ask(Token(account="github", agent=agent))
        assert talk.dispatch.repeated == 4
        told = [one async for one in talk.house.audit.records(requests.Audit())]
        assert [(one.agent, one.pid, one.count) for one in told if one.what == "token"] == [
            ("one", 4711, 3),
            ("two", 4711, 3),
        ]


async def test_a_ticket_is_a_secret_and_is_not_known(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        await talk.ask(Token(account="github", ticket=Secret("aixtiv-ticket-x")))
        assert talk.known == []


class Unread:
    """A transport whose caller reads nothing. `sent`: what waits for it."""

    def __init__(self, talk: Talk, unread: int) -> None:
        self.sent = bytearray()
        self.reads = True
        self.session = Session(
            talk.dispatch, talk.session._tasks, Limits(unread=unread), lambda _: None, Who(uid=0, pid=1)
        )
        self.session.connection_made(cast("asyncio.Transport", self))

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.sent += data
        if len(self.sent) > self.high:
            self.session.pause_writing()

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_write_buffer_size(self) -> int:
        return len(self.sent)


async def test_what_is_not_one_whole_message_is_not_known_and_is_answered_all_the_same(folder: Path) -> None:
    one, other = codec.encode_request(GITHUB), codec.encode_request(Token(account="unheard-of"))
    halves, mixed = (one[:9], one[9:], one[:9], one[9:] + one[:4], one[4:]), one + other + one
    said = (one, one, one + one, one, *halves, other, one, mixed, one, other[:4], other[4:], one)
    answers = (1, 1, 2, 1, 0, 1, 0, 1, 1, 1, 1, 3, 1, 0, 1, 1)
    async with talking(folder) as talk:
        far = Unread(talk, 100_000)
        for data, due in zip(said, answers, strict=True):
            del far.sent[:]
            far.session.data_received(data)
            while far.session._scope is not None:
                await anyio.lowlevel.checkpoint()
            inbox = codec.Inbox()
            inbox.feed(bytes(far.sent))
            assert len(list(inbox.bodies())) == due
            known = far.session._again._known
            assert set(known) <= {one}
            assert not known or not far.session._inbox.partial
        assert talk.dispatch.repeated == 1
        far.session.connection_lost(None)


async def test_whoever_reads_no_answers_is_not_read_any_more(folder: Path) -> None:
    async with talking(folder) as talk:
        far = Unread(talk, 500)
        asked = 0
        while far.reads:
            far.session.data_received(codec.encode_request(GITHUB))
            asked += 1
        assert talk.dispatch.repeated == asked - 1 > 1
        assert far.session._outbox.keeps_a_secret, "a lock has to know"
        del far.sent[:]
        far.session.resume_writing()
        assert far.reads
        assert not far.session._outbox.keeps_a_secret
        far.session.connection_lost(None)


@pytest.mark.parametrize("lifetime", [0, 1, 20, 250, 600, 3600, 86_400])
async def test_the_short_way_says_just_what_the_long_one_does(folder: Path, lifetime: int) -> None:
    """At each moment around every bound, for every wish, by either clock."""
    async with opened(folder, FakeClock()) as house:
        await house.adopt("github", lifetime=lifetime)
        entry = house.accounts._book.find("github")
        assert entry
        wishes = (0, 1, 30, 149, 150, 300, 599, 720, 3600, 86_400)
        lead = max(150.0, lifetime / 5)
        moments = {
            lifetime - left + by for left in (0, 5, lifetime / 10, lifetime / 2, lead, *wishes) for by in (-1, 0, 1)
        }
        wall, steady = house.clock._wall, house.clock._steady
        for moment in moments | {0, -100}:
            for set_back in (0, 500, -500):
                house.clock._wall, house.clock._steady = wall + moment - set_back, steady + moment
                for wish in wishes:
                    said = entry.said(Token(min_ttl=wish), "frames", house.clock.wall(), house.clock.steady())
                    serves = entry.freshness(house.clock, wish) is Freshness.SERVE
                    assert (said is not None) == serves, (moment, set_back, wish)
        house.clock._wall, house.clock._steady = wall, steady


async def test_what_is_kept_of_an_answer_shows_no_token(folder: Path) -> None:
    async with talking(folder) as talk:
        await talk.twice()
        assert talk.entry._said
        assert "access-0" not in repr(talk.entry._said) + str(talk.entry._said)
