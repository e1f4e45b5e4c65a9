"""`kill -9` at moments that nobody chose, while several accounts are refreshed all the time."""

import random
import time

import pytest

from faults.expected import check_it_works, refreshed
from peers.authority.process import Running
from peers.machine import Machine
from peers.person import visit

ACCOUNTS = ("work", "home", "club")
ROUNDS = 10
LONGEST = 1.2  # seconds a daemon lives here after it listens: imports, first refreshes, and some of the next


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", [{"grace": 60.0}, {"rotate": False}], ids=["allows a grace time", "does not rotate"])
def test_killed_at_any_moment_every_account_goes_on(
    machine: Machine, server: Running, kind: dict[str, float | bool]
) -> None:
    chance = random.Random(20261123)
    server.tell(access_ttl=1, **kind)
    machine.start()
    for name in ACCOUNTS:
        machine.sign_in(visit, server.login(name))
    for _ in range(ROUNDS):
        for _ in range(2):  # five answers lost in a row would be enough to ask a person
            time.sleep(chance.random() * LONGEST)  # nothing is waited for: this is the moment
            machine.kill()
            machine.start()
        for name in ACCOUNTS:
            assert refreshed(machine, name).state in {"fresh", "due"}
    server.tell(access_ttl=3600)
    for name in ACCOUNTS:
        refreshed(machine, name)
        check_it_works(machine, server, name)
    assert server.reuses == 0
