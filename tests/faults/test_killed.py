"""`kill -9` at every named step of a refresh, at servers of every kind."""

from signal import SIGKILL

import pytest

from aixtiv_protocol import requests
from aixtivd.host.faults import VARIABLE
from faults.expected import KINDS, begin_refresh, check_it_is_kept_for_a_person, check_it_works, refreshed, status
from peers.authority.process import Running
from peers.authority.weather import hanging
from peers.disks import SmallDisk
from peers.machine import Machine
from peers.person import visit

# The commit's points are passed by the sign-in first. True: the daemon had the answer, and its disk had not.
STEPS = {
    "before-intent": False,
    "after-intent": False,
    "after-post": True,
    "before-commit:2": True,
    "after-commit:2": False,
}


def die_refreshing(machine: Machine) -> None:
    with machine.conversation() as talk:
        talk.say(requests.Refresh(account="work"))
        assert machine.ended() == -SIGKILL
        with pytest.raises((EOFError, ConnectionError)):
            talk.hear()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
def test_killed_in_a_refresh_the_account_works_or_is_kept_for_a_person(
    machine: Machine, server: Running, step: str, kind: str
) -> None:
    server.tell(**KINDS[kind])
    machine.start(**{VARIABLE: step})
    machine.sign_in(visit, server.login("work"))
    old = machine.token("work").access_token
    die_refreshing(machine)

    machine.start()
    served = machine.token("work").access_token
    assert served == old or STEPS[step] or served.reveal() == server.newest
    if STEPS[step] and kind == "punishes reuse":
        check_it_is_kept_for_a_person(machine, server)
        assert server.reuses >= 1, "the case in which a lost token is tried once more"
        assert machine.sign_in(visit, server.login("work")).state == "fresh"
    else:
        refreshed(machine)  # joins the one that finishes what was interrupted
        check_it_works(machine, server)
        assert server.reuses == 0


@pytest.mark.parametrize("room", ["at once", "later"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_with_the_pair_in_the_spill_slot_the_account_works(
    machine: Machine, server: Running, disk: SmallDisk, kind: str, room: str
) -> None:
    server.tell(**KINDS[kind])
    machine.start(**{VARIABLE: "spill-written"})
    machine.sign_in(visit, server.login("work"))
    server.set_weather(hanging())
    begin_refresh(machine, server)
    disk.fill()
    server.release()
    assert machine.ended() == -SIGKILL

    if room == "at once":
        disk.make_room()
    machine.start()
    assert machine.token("work").access_token.reveal() == server.newest
    assert status(machine).spilled == (room == "later")
    disk.make_room()
    check_it_works(machine, server)
    assert status(machine).spilled == 0
    assert server.refreshes == 2
    assert server.reuses == 0


@pytest.mark.parametrize("step", ["before-intent", "after-intent", "after-post", "before-commit", "after-commit"])
def test_killed_in_the_refresh_that_empties_the_slot_the_account_works(
    machine: Machine, server: Running, disk: SmallDisk, step: str
) -> None:
    server.tell(grace=60)
    machine.start(**{VARIABLE: "spill-written"})
    machine.sign_in(visit, server.login("work"))
    server.set_weather(hanging())
    begin_refresh(machine, server)
    disk.fill()
    server.release()
    assert machine.ended() == -SIGKILL
    machine.start(**{VARIABLE: step})
    assert status(machine).spilled == 1
    disk.make_room()
    die_refreshing(machine)

    machine.start()
    refreshed(machine)
    check_it_works(machine, server)
    assert status(machine).spilled == 0
    assert server.reuses == 0


def test_killed_again_and_again_before_anything_was_sent_a_good_grant_stays_good(
    machine: Machine, server: Running
) -> None:
    machine.start(**{VARIABLE: "after-intent"})
    machine.sign_in(visit, server.login("work"))
    die_refreshing(machine)
    for _ in range(2):
        machine.spawn(**{VARIABLE: "after-intent"})  # goes at it again by itself, and dies again
        assert machine.ended() == -SIGKILL
    assert server.refreshes == 0

    machine.start()
    refreshed(machine)
    check_it_works(machine, server)
    assert server.reuses == 0


def test_killed_too_often_the_account_is_put_aside_and_one_word_brings_it_back(
    machine: Machine, server: Running
) -> None:
    """Where reuse is known to be punished, two attempts without an answer are enough. Nothing had been spent."""
    machine.configure("[provider.work]\npunishes-reuse = true\n")
    machine.start(**{VARIABLE: "after-intent"})
    machine.sign_in(visit, server.login("work"))
    die_refreshing(machine)
    machine.spawn(**{VARIABLE: "after-intent"})
    assert machine.ended() == -SIGKILL

    machine.start()
    found = machine.account("work")
    assert (found.state, found.hint) == ("quarantined", "aixtiv login work")
    assert found.problem
    assert server.refreshes == 0
    refreshed(machine)
    check_it_works(machine, server)
