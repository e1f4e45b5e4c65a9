"""Keeps tokens fresh: one plan for all accounts, one refresh per account in flight however many ask (D8, D9)."""

import heapq
import itertools
from typing import Final

import anyio
from anyio.abc import TaskGroup, TaskStatus

from aixtiv_protocol.requests import Federation
from aixtivd import log
from aixtivd.accounts import states
from aixtivd.accounts.book import Book, Entry, Problem
from aixtivd.accounts.events import Events
from aixtivd.accounts.hosts import Host, Hosts
from aixtivd.accounts.renewal import Renewal
from aixtivd.accounts.settling import Settling
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, Busy, StoreFailed, WaitedTooLong

_STORE_AGAIN: Final = 5.0  # seconds until a store that could not be written is tried again
_TURN: Final = 100  # accounts that one turn of the plan begins with; callers are answered between two
_SLACK: Final = 64  # plans that no longer count, before the heap is cleared of them


class Refresher:
    """Owns the plan and the flights. How a token is had, and what an answer means, is `Renewal`'s business."""

    def __init__(
        self, book: Book, settling: Settling, renewal: Renewal, hosts: Hosts, events: Events, clock: Clock
    ) -> None:
        self._book = book
        self._settling = settling
        self._renewal = renewal
        self._hosts = hosts
        self._events = events
        self._clock = clock
        self._heap: list[tuple[float, int, Entry]] = []
        self._starved: dict[str, set[Entry]] = {}  # by the account whose identity they need, and failed without
        self._count = itertools.count()  # so that the heap never compares entries
        self._wake = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._flights = 0
        self._landed = anyio.Event()
        self._resting = False
        self._over = False
        self._dismissed = False

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            task_status.started()
            readings = self._readings()
            while True:
                self._wake = anyio.Event()
                await self._clock.pause(self._wake, states.nap(self._start_due()))
                before, readings = readings, self._readings()
                if states.jumped(before, readings):
                    self._woke()
                await self._settling.save_the_unsaved()

    def plan(self, entry: Entry, *, delay: float = 0.0) -> None:
        """(Re)computes when this account is next refreshed. `delay`: seconds to spread by, on top of what is due."""
        entry.due = self._due(entry, delay)
        if entry.due is not None:
            heapq.heappush(self._heap, (entry.due, next(self._count), entry))
            if len(self._heap) > 2 * len(self._book) + _SLACK:
                self._tidy()
        self._wake.set()

    def _tidy(self) -> None:
        """Without the plans that were made anew since: as many may not gather as wakings and sign-ins come."""
        self._heap = [plan for plan in self._heap if plan[2].due == plan[0] and plan[2] in self._book]
        heapq.heapify(self._heap)

    def nudge(self, entry: Entry) -> None:
        """A caller waits for a newer token: refreshes now, unless that is under way or must wait. Raises Busy."""
        self._expect_another()
        if self._may(entry):
            self._start(entry)

    def hasten(self, entry: Entry) -> None:
        """A caller has a token, and would be glad of a newer one: refreshes as soon as there is a slot.

        What nobody waits for takes no place in the line of those who wait, and no task while there is no slot.
        """
        if entry.due is None or not self._may(entry):
            return  # it is under way, or its turn has come already
        host = self._hosts.of(entry.grant)
        if host.free:
            self._start(entry)
        else:
            entry.due = None
            host.queue.append(entry)

    def _may(self, entry: Entry) -> bool:
        now = self._clock.steady()
        return entry.renewable and now >= entry.not_before and now >= self._hosts.of(entry.grant).paused_until

    def force(self, entry: Entry) -> None:
        """A person wants it now: neither backoff nor quarantine holds it back."""
        if entry.grant.renewable and not entry.leaving:
            self._start(entry)

    def next_try(self, entry: Entry) -> float:
        """When (steady) a renewable account that is not in flight will be tried again by itself."""
        return max(entry.not_before, self._hosts.of(entry.grant).paused_until)

    def lives(self, entry: Entry) -> None:
        """This account is in order (again): those that need its identity, and failed, are tried at once."""
        if entry.problem:
            return
        for other in self._starved.pop(entry.grant.name, ()):
            if other in self._book and other.problem and _fed_by(other) == entry.grant.name:
                other.failures, other.not_before = 0, 0.0
                self.plan(other)

    def renamed(self, before: str, now: str) -> None:
        """Those that wait for the identity of an account go on waiting for it under its new name."""
        if waiting := self._starved.pop(before, None):
            self._starved.setdefault(now, set()).update(waiting)

    async def settled(self, entry: Entry, deadline: float) -> None:
        """Until something has changed for this account. Raises WaitedTooLong at `deadline` (steady), and Busy where
        this daemon will not refresh it any more.
        """
        self._expect_another()
        changed, flying = entry.changed, entry.flying
        await self._clock.pause(changed, max(0.0, deadline - self._clock.steady()))
        if not flying:  # else what was under way has come to its end
            self._expect_another()
        if not changed.is_set():
            raise WaitedTooLong(
                f"no new token of {entry.grant.name} in the time this caller waits; the refresh goes on",
                hint=f"aixtiv token {entry.grant.name} --wait 60",
            )

    async def rest(self, *, for_good: bool = False) -> None:
        """Starts nothing more, and waits until what is in flight has been settled and sealed."""
        self._resting = True
        self._over |= for_good
        self._renewal.rest()
        while self._flights:
            if self._landed.is_set():  # else others wait for this very one
                self._landed = anyio.Event()
            await self._landed.wait()

    def dismiss(self) -> None:
        """After a rest for good: nobody waits any more for what this daemon will not do."""
        self._dismissed = True
        for entry in self._book:
            entry.announce()

    def _expect_another(self) -> None:
        if self._dismissed:
            raise Busy("the daemon is ending, and asks no provider any more")

    @property
    def busy(self) -> bool:
        """Whether any refresh is planned, lined up or under way."""
        return bool(self._flights or self._starved) or any(entry.due is not None for entry in self._book)

    def forget(self) -> None:
        """The plan, and with it every account that it names."""
        self._heap.clear()
        self._starved.clear()
        self._hosts.forget()

    def resume(self) -> None:
        """Not behind a rest for good: whoever rested for a while then has nothing to begin again."""
        if self._over:
            return
        self._resting = False
        self._renewal.resume()
        for entry in self._book:
            self.plan(entry)

    def _due(self, entry: Entry, delay: float) -> float | None:
        if not entry.renewable or entry.flying or not (entry.grant.lifetime or entry.interrupted):
            return None
        left = 0.0 if entry.interrupted else entry.left(self._clock)
        settled = entry.grant.source is not None and not (entry.interrupted or entry.problem)  # those have a backoff
        apart = states.SOURCE_APART if settled else 0.0
        wait = states.refresh_in(left, entry.grant.lifetime, self._hosts.chance(), apart=apart)
        return max(self._clock.steady() + max(wait, delay), self.next_try(entry))

    def _start_due(self) -> float | None:
        """Starts every refresh whose time has come, and says in how many seconds the next one is due."""
        now = self._clock.steady()
        begun = 0
        while self._heap and not self._resting:
            due, _, entry = self._heap[0]
            if entry.due != due or entry not in self._book:
                heapq.heappop(self._heap)  # it was planned anew since
                continue
            if due > now:
                break
            if (begun := begun + 1) > _TURN:
                return 0.0
            heapq.heappop(self._heap)
            entry.due = None
            host = self._hosts.of(entry.grant)
            host.queue.append(entry)
            self._start_queued(host)
        upcoming = [self._heap[0][0] - now] if self._heap and not self._resting else []
        if self._settling.unsaved:
            upcoming.append(_STORE_AGAIN)
        return min(upcoming, default=None)

    def _start_queued(self, host: Host) -> None:
        paused = host.paused_until > self._clock.steady()
        while host.queue and (host.free or paused) and not self._resting:
            entry = host.queue.popleft()
            if entry not in self._book or entry.due is not None:
                continue  # it was planned anew since
            if paused:
                self.plan(entry)
            elif entry.renewable:
                self._start(entry)

    def _start(self, entry: Entry) -> None:
        if entry.flying or self._resting or self._tasks is None:
            return
        entry.flying, entry.due = True, None
        host = self._hosts.of(entry.grant)
        host.flights += 1
        self._flights += 1
        self._tasks.start_soon(self._fly, entry, host)

    async def _fly(self, entry: Entry, host: Host) -> None:
        try:
            await self._renewal.renew(entry, host)
        except StoreFailed as error:
            entry.not_before = self._clock.steady() + _STORE_AGAIN
            self._failed(entry, error)
        except Exception as error:  # noqa: BLE001  # a defect with one account must not end the others' refreshes
            log.error("refresh", account=entry.grant.name, exception=type(error).__name__)
            entry.not_before = self._clock.steady() + states.BACKOFF_MOST
            self._failed(entry, AixtivError(f"refreshing {entry.grant.name} hit a defect in aixtiv"))
        finally:
            self._land(entry, host)

    def _land(self, entry: Entry, host: Host) -> None:
        entry.flying = False
        host.flights -= 1
        self._flights -= 1
        self._landed.set()
        if entry.problem and (feeds := _fed_by(entry)):
            self._starved.setdefault(feeds, set()).add(entry)
        self.plan(entry)
        self._start_queued(host)
        entry.announce()
        self.lives(entry)

    def _failed(self, entry: Entry, error: AixtivError) -> None:
        entry.problem = Problem(type(error), error.sentence, error.hint, entry.not_before)
        self._events.tell("failing", account=entry.grant.name, detail=error.sentence)

    def _readings(self) -> tuple[float, float, float]:
        return self._clock.wall(), self._clock.steady(), self._clock.awake()

    def _woke(self) -> None:
        """Plans anew after a sleep or a set clock, spread out; who waits for a token does not wait for this."""
        self._events.tell("woke")
        self._hosts.forgive()
        for entry in self._book:
            if entry.problem and entry.problem.until:
                entry.failures, entry.not_before = 0, 0.0
            self.plan(entry, delay=states.spread(len(self._book), self._hosts.chance()))


def _fed_by(entry: Entry) -> str:
    """The account whose identity this one is asked for with; empty: none's."""
    source = entry.grant.source
    return source.identity_account if isinstance(source, Federation) else ""
