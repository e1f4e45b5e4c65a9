"""One run: seeded, idle, the minute in which everything is due, and what is left of it."""

import asyncio
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from msgspec import Struct

from aixtiv import Client
from aixtiv_protocol.replies import Account
from aixtivd.accounts import states
from peers.machine import Machine
from scale import process, seeding

DELAY: Final = 0.03  # seconds that the authorization server takes for an answer, as over a network


class Plan(Struct, frozen=True, kw_only=True):
    """What is run. All but the counts in seconds."""

    accounts: int = 10_000
    callers: int = 256
    per_second: float = 4.0  # questions of one caller
    scopes: int = 2  # of each account
    window: float = 60.0  # within which every token ends
    lifetime: float = 600.0  # of the tokens that end: their lead is the least that tokens of minutes have
    idle: float = 12.0  # in which the callers are measured before anything is due
    coming: float = 5.0  # for the callers to come, and for the daemon to have loaded what it needs
    slack: float = 15.0  # for seeding and starting

    @property
    def lead(self) -> float:
        """Before its end, when a token is refreshed at the earliest."""
        return states.lead(self.lifetime) * (1 + states.JITTER)


class Seen(Struct, kw_only=True):
    """What one run showed. Seconds, MiB, and milliseconds for the callers."""

    accounts: int
    ready: float  # until the daemon answered
    late: list[str]  # accounts whose new token came after the old one had ended
    nearest: float  # the least time left to an old token when its successor was there
    lasted: float  # from the first refresh to the last
    server: dict[str, int]
    idle: dict[str, Any]
    busy: dict[str, Any]
    memory: tuple[float, float, float]  # when ready, after the refreshes, at most
    descriptors: tuple[int, int]  # when ready, after the refreshes
    processor: float  # seconds, over the refreshes
    listed: tuple[int, float]  # by `aixtiv accounts --json`, and how long that took
    status: tuple[int, float]  # the same of `aixtiv status --json`


class Bounds(Struct, frozen=True):
    at_once: int = 8  # the config's `at-once`, as it is where nobody set it
    slower: float = 10.0  # p99 of the callers against the idle one, and …
    floor: float = 20.0  # … milliseconds that are nobody's business
    base: float = 80.0  # MiB of memory for everything but the accounts
    per_account: float = 6.0  # KiB for each

    def broken(self, seen: Seen) -> list[str]:
        return [*self._refreshes(seen), *self._callers(seen), *self._costs(seen)]

    def _refreshes(self, seen: Seen) -> Iterator[str]:
        if seen.late:
            yield f"{len(seen.late)} accounts were late, {seen.late[0]} among them"
        if seen.server["reused"]:
            yield f"{seen.server['reused']} refresh tokens were spent twice"
        if seen.server["refreshes"] < seen.accounts:
            yield f"only {seen.server['refreshes']} refreshes"
        if seen.server["most_at_once"] > self.at_once:
            yield f"{seen.server['most_at_once']} refreshes at once"

    def _callers(self, seen: Seen) -> Iterator[str]:
        for name, part in (("idle", seen.idle), ("busy", seen.busy)):
            if part["failures"] or part["expired"] or not part["asked"]:
                yield f"{name}: failures {part['failures']}, {part['expired']} tokens that had ended"
        if (p99 := seen.busy["p99"]) > max(self.floor, self.slower * seen.idle["p99"]):
            yield f"the callers' p99 is {p99:.1f} ms, and {seen.idle['p99']:.1f} when nothing is due"

    def _costs(self, seen: Seen) -> Iterator[str]:
        if seen.memory[2] > self.base + self.per_account * seen.accounts / 1024:
            yield f"{seen.memory[2]:.0f} MiB of memory"
        if seen.descriptors[1] > seen.descriptors[0] + 2 * self.at_once:
            yield f"{seen.descriptors[1]} descriptors, from {seen.descriptors[0]}"
        for command, (number, _) in (("accounts", seen.listed), ("status", seen.status)):
            if number != seen.accounts:
                yield f"aixtiv {command} --json shows {number} accounts"


class Run:
    def __init__(self, folder: Path, plan: Plan) -> None:
        self._machine = Machine(folder)
        self._plan = plan
        self._server = 0  # its port

    def all(self, say: Callable[[str], None]) -> Seen:
        plan = self._plan
        with process.running("scale.server", "3600", str(DELAY)) as server:
            self._server = int(line(server))
            began = time.time() + plan.slack + plan.accounts / 400
            first = began + plan.coming + plan.idle + plan.lead
            dice = random.Random(plan.accounts)
            expiries = [first + plan.window * dice.random() for _ in range(plan.accounts)]
            endpoint = f"http://127.0.0.1:{self._server}/token"
            scopes = seeding.scopes(plan.scopes)
            asyncio.run(seeding.seed(self._machine.state, endpoint, expiries, plan.lifetime, scopes))
            say(
                f"{plan.accounts} accounts are in the store; their tokens end within the same {plan.window:.0f} seconds"
            )
            with self._machine:
                return self._watched(expiries, began, say)

    def _watched(self, expiries: list[float], began: float, say: Callable[[str], None]) -> Seen:
        machine, plan = self._machine, self._plan
        started = time.monotonic()
        machine.start()
        ready = time.monotonic() - started
        assert time.time() < began, "this machine is too slow: the first refreshes may be due already"
        before, held = process.memory(machine.pid)[0], process.descriptors(machine.pid) + plan.callers
        words = (str(machine.socket), plan.callers, plan.accounts, plan.per_second)
        with process.running("scale.callers", *map(str, words)) as callers:
            time.sleep(max(0.0, began + plan.coming - time.time()))
            measured(callers)
            time.sleep(plan.idle)
            idle = measured(callers)
            used = process.seconds(machine.pid)
            say(f"{ready:.1f} s until it answered; now they are due")
            fresh = self._all_fresh(max(expiries) + 5)
            busy = measured(callers)
            used = process.seconds(machine.pid) - used
        now, most = process.memory(machine.pid)
        late, nearest = _margin(fresh, expiries)
        times = [account.refreshed_at for account in fresh.values()]
        return Seen(
            accounts=plan.accounts,
            ready=ready,
            late=late,
            nearest=nearest,
            lasted=max(times) - min(times),
            server=counts(self._server),
            idle=idle,
            busy=busy,
            memory=(before, now, most),
            descriptors=(held, process.descriptors(machine.pid)),
            processor=used,
            listed=self._shown("accounts"),
            status=self._shown("status"),
        )

    def _all_fresh(self, until: float) -> dict[str, Account]:
        """Waits until the server has seen every account, or the last token has ended."""
        while time.time() < until and counts(self._server)["refreshes"] < self._plan.accounts:
            time.sleep(0.5)  # the server counts, and announces nothing
        time.sleep(1.0)  # the last answers are on their way into the store
        with Client(str(self._machine.socket)) as client:
            return {account.name: account for account in client.accounts()}

    def _shown(self, command: str) -> tuple[int, float]:
        started = time.monotonic()
        found = self._machine.run(command, "--json").json()
        return len(found["accounts"]), time.monotonic() - started


def _margin(fresh: dict[str, Account], expiries: list[float]) -> tuple[list[str], float]:
    """Who was late, and how much time was left where it was least. The daemon tells whole seconds: rounded up."""
    left = {
        (name := seeding.name(number)): expires_at
        - (fresh[name].refreshed_at + 1 if fresh[name].generation > 1 else 1e12)
        for number, expires_at in enumerate(expiries)
    }
    return [name for name, seconds in left.items() if seconds < 0], min(left.values())


def counts(server: int) -> dict[str, int]:
    """What the authorization server at that port has counted."""
    with urlopen(f"http://127.0.0.1:{server}/") as answer:
        found: dict[str, int] = json.load(answer)
        return found


def measured(callers: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the callers measured since they were asked last."""
    assert callers.stdin
    callers.stdin.write("\n")
    callers.stdin.flush()
    facts: dict[str, Any] = json.loads(line(callers))
    return facts


def line(talking: "subprocess.Popen[str]") -> str:
    assert talking.stdout
    return talking.stdout.readline()


def told(seen: Seen) -> Iterator[str]:
    """As people read it."""
    rate = seen.server["refreshes"] / max(1.0, seen.lasted)
    ratio = seen.busy["p99"] / (seen.idle["p99"] or 1)
    yield f"late          {len(seen.late)} of {seen.accounts}; the nearest had {seen.nearest:.0f} s left"
    yield (
        f"refreshes     {seen.server['refreshes']} in {seen.lasted:.0f} s ({rate:.0f} a second, at most"
        f" {seen.server['most_in_a_second']}), at most {seen.server['most_at_once']} at once,"
        f" {seen.server['reused']} tokens spent twice"
    )
    for name, part in (("idle", seen.idle), ("meanwhile", seen.busy)):
        yield (
            f"{name:13} p50 {part['p50']:.2f} ms, p99 {part['p99']:.2f}, p99.9 {part['p99.9']:.2f}, most"
            f" {part['most']:.1f}; {part['asked']} asked, failures {part['failures'] or 'none'}"
        )
    yield f"p99           {ratio:.1f} times the idle one"
    yield "memory        {:.0f} MiB when it was ready, {:.0f} afterwards, at most {:.0f}".format(*seen.memory)
    yield f"processor     {seen.processor:.1f} s, {seen.processor / seen.server['refreshes'] * 1000:.2f} ms a refresh"
    yield "descriptors   {} before, {} afterwards".format(*seen.descriptors)
    for command, (number, seconds) in (("accounts", seen.listed), ("status", seen.status)):
        yield f"{command:13} {number} listed in {seconds:.2f} s"
