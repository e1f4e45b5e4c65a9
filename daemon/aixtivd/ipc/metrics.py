"""Counters and gauges for Prometheus, when somebody asks for them: nothing is gathered before that."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeVar, get_args

import anyio.lowlevel
import anyio.to_thread

from aixtiv_protocol import replies, requests
from aixtiv_protocol.codec import FRAME_CAP
from aixtivd.access.denials import Kind
from aixtivd.accounts.service import Accounts
from aixtivd.accounts.settling import OUTCOMES
from aixtivd.host.costs import Costs, costs
from aixtivd.ipc.exposition import Family, counter, gauge, labelled, written
from aixtivd.relay.relay import STATUSES

_TURN: Final = 200  # accounts that are looked at before somebody else is served
_ROOM: Final = FRAME_CAP - 32 * 1024  # bytes for the accounts, in one answer
_BESIDE: Final = 320  # bytes of an account's samples, without what names it

K = TypeVar("K", bound=str)

Visible = Callable[[str], bool]


class Metrics:
    """What only its owner can count is counted there: each `int` here is one, and read when it is asked for."""

    def __init__(
        self,
        accounts: Accounts,
        status: Callable[[], replies.DaemonStatus],
        asked: Callable[[], int],
        tokens: Callable[[], int],
        relayed: Callable[[], Mapping[str, int]],
        denials: Callable[[], Counter[Kind]],
    ) -> None:
        self.conversations = 0  # ever
        self.open = 0  # now
        self._accounts = accounts
        self._status = status
        self._asked = asked
        self._tokens = tokens
        self._relayed = relayed
        self._denials = denials
        self._began = time.monotonic()

    async def exposition(self, asked: requests.Metrics, visible: Visible = bool) -> replies.Exposition:
        """`visible`: whether an account of that name is counted for who asks (every name is true)."""
        cost = await anyio.to_thread.run_sync(costs)
        status = self._status()
        gathering = _Gathering(named=asked.accounts)
        async for account in self._each(visible):
            gathering.take(account)
        families = [
            *_of_the_process(status, cost, time.monotonic() - self._began),
            *self._counters(),
            *_of_the_vault(status),
            *gathering.families(),
        ]
        return replies.Exposition(text=written(families))

    async def _each(self, visible: Visible) -> AsyncIterator[replies.Account]:
        after = ""
        while page := tuple(islice(self._accounts.states(after, visible), _TURN)):
            for account in page:
                yield account
            after = page[-1].name
            await anyio.lowlevel.checkpoint()

    def _counters(self) -> Iterator[Family]:
        yield counter("aixtiv_requests_total", "Requests that need the vault.", self._asked())
        yield counter("aixtiv_tokens_total", "Access tokens handed out.", self._tokens())
        yield labelled(
            "counter",
            "aixtiv_refreshes_total",
            "New access tokens asked for, by what came of it.",
            "outcome",
            _all(OUTCOMES, self._accounts.refreshes),
        )
        yield labelled(
            "counter",
            "aixtiv_relayed_calls_total",
            "Calls relayed to an API, by the class of its answer.",
            "status",
            _all(STATUSES, self._relayed()),
        )
        yield labelled(
            "counter",
            "aixtiv_denials_total",
            "Callers turned away, by why.",
            "kind",
            _all(get_args(Kind), self._denials()),
        )
        yield counter("aixtiv_conversations_total", "Conversations on the daemon's own socket.", self.conversations)
        yield gauge("aixtiv_open_conversations", "Conversations that are open.", self.open)


class _Gathering:
    """Accounts counted, and as many of them listed as one answer carries."""

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self._room = _ROOM
        self._states: Counter[str] = Counter()
        self._listed: list[replies.Account] = []
        self._left_out = 0

    def take(self, account: replies.Account) -> None:
        self._states[account.state] += 1
        if not self._named:
            return
        self._room -= _BESIDE + 3 * len(account.name) + len(account.provider)
        if self._room >= 0:
            self._listed.append(account)
        else:
            self._left_out += 1

    def families(self) -> Iterator[Family]:
        states = _all(get_args(replies.State), self._states)
        yield labelled("gauge", "aixtiv_accounts", "Accounts, by their state.", "state", states)
        if self._named:
            yield from self._each()

    def _each(self) -> Iterator[Family]:
        listed = self._listed
        yield Family(
            "aixtiv_account_info",
            "gauge",
            "What each account is, and its state.",
            tuple(
                ({"account": one.name, "provider": one.provider, "kind": one.kind, "state": one.state}, 1)
                for one in listed
            ),
        )
        yield Family(
            "aixtiv_account_expires_timestamp_seconds",
            "gauge",
            "When the access token of an account ends, in Unix time.",
            tuple(({"account": one.name}, one.expires_at) for one in listed if one.expires_at),
        )
        yield Family(
            "aixtiv_account_next_refresh_timestamp_seconds",
            "gauge",
            "When an account is refreshed next, in Unix time.",
            tuple(({"account": one.name}, one.next_refresh) for one in listed if one.next_refresh),
        )
        yield gauge("aixtiv_accounts_left_out", "Accounts for which there was no room in this answer.", self._left_out)


def _of_the_process(status: replies.DaemonStatus, cost: Costs, running: float) -> Iterator[Family]:
    """Named apart from Prometheus' own `process_…`, which a collector that gathers this may have of itself."""
    yield Family("aixtiv_build_info", "gauge", "The daemon's version.", (({"version": status.version}, 1),))
    yield gauge("aixtiv_start_time_seconds", "When the daemon started, in Unix time.", status.started_at)
    yield gauge("aixtiv_uptime_seconds", "For how long the daemon has been running.", round(running, 3))
    yield counter("aixtiv_cpu_seconds_total", "Processor time that the daemon took.", round(cost.cpu, 3))
    if cost.memory:
        yield gauge("aixtiv_resident_memory_bytes", "Memory of the daemon that is resident.", cost.memory)
    if cost.descriptors:
        yield gauge("aixtiv_open_fds", "File descriptors that are open.", cost.descriptors)
    yield gauge("aixtiv_max_fds", "File descriptors that may be open.", cost.most_descriptors)


def _of_the_vault(status: replies.DaemonStatus) -> Iterator[Family]:
    yield gauge("aixtiv_vault_locked", "Whether the vault is locked.", status.locked)
    yield gauge("aixtiv_spilled_grants", "Grants that wait for room on the disk.", status.spilled)
    yield gauge("aixtiv_damaged_seals", "Records that fail their seal.", status.damaged)
    problems = {
        "audit": status.audit_problem,
        "gateway": status.gateway_problem,
        "notices": status.notice_problem,
        "published": status.publish_problem,
    }
    yield labelled(
        "gauge",
        "aixtiv_problem",
        "Whether that part of the daemon has a problem: aixtiv status says which.",
        "part",
        {part: bool(problem) for part, problem in problems.items()},
    )


def _all(known: tuple[K, ...], counted: Mapping[K, int]) -> dict[K, float]:
    """With a zero for what has not happened yet: a rate needs a beginning."""
    return {name: counted.get(name, 0) for name in known}
