"""A disk that is really full: nothing is spent that could not be kept, and what was spent is kept."""

import pytest
from msgspec.structs import replace

from aixtiv_protocol import replies, requests
from faults.expected import begin_refresh, check_it_works, refreshed, status
from peers.authority.process import Running
from peers.authority.weather import hanging, says, unavailable
from peers.disks import SmallDisk
from peers.machine import Machine
from peers.person import visit
from peers.waiting import until


def spill(machine: Machine, server: Running, disk: SmallDisk) -> str:
    """Signs in, and refreshes while the disk fills up behind the request. The new access token."""
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(hanging())
    with machine.conversation() as watch, machine.conversation() as talk:
        watch.say(requests.Watch())
        talk.say(requests.Refresh(account="work"))
        server.until(hanging=1)
        disk.fill()
        server.release()
        assert "make room" in watch.hear_until("spilled", "work").detail
        assert isinstance(talk.hear(), replies.Account)
    return server.newest


def test_a_pair_that_finds_no_room_is_served_and_absorbed_when_there_is(
    machine: Machine, server: Running, disk: SmallDisk
) -> None:
    new = spill(machine, server, disk)
    assert machine.run("token", "work").out == f"{new}\n"
    assert machine.run("status", "--json").json()["spilled"] == 1
    assert "room" in machine.run("status").out
    assert machine.logged("spilled")[0]["level"] == "error"

    disk.make_room()
    until(lambda: status(machine).spilled == 0, "the slot is emptied without a restart and without being asked")
    machine.kill()
    machine.start()
    assert machine.token("work").access_token.reveal() == new
    check_it_works(machine, server)
    assert server.reuses == 0


@pytest.mark.parametrize("room", ["before", "after"])
def test_a_pair_in_the_slot_outlives_the_daemon(machine: Machine, server: Running, disk: SmallDisk, room: str) -> None:
    new = spill(machine, server, disk)
    machine.kill()
    if room == "before":
        disk.make_room()
    machine.start()
    assert machine.token("work").access_token.reveal() == new
    assert status(machine).spilled == (room == "after")
    disk.make_room()
    check_it_works(machine, server)
    assert status(machine).spilled == 0
    assert server.reuses == 0


def test_several_pairs_find_room_in_the_slot(machine: Machine, server: Running, disk: SmallDisk) -> None:
    names = [f"work/{number}" for number in range(5)]
    machine.start()
    for name in names:
        machine.sign_in(visit, server.login(name))
    server.set_weather(*[hanging()] * 5)
    for name in names:
        begin_refresh(machine, server, name)
    disk.fill()
    server.release()
    until(lambda: status(machine).spilled == 5, "all five are in the slot")
    tokens = [machine.token(name) for name in names]
    machine.kill()
    machine.start()
    assert [machine.token(name) for name in names] == tokens
    disk.make_room()
    for name in names:
        check_it_works(machine, server, name)
    assert status(machine).spilled == 0
    assert server.reuses == 0


def test_a_quarantine_that_finds_no_room_is_kept_in_the_slot(
    machine: Machine, server: Running, disk: SmallDisk
) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(replace(says("invalid_grant"), hang=True))
    begin_refresh(machine, server)
    disk.fill()
    server.release()
    until(lambda: machine.account("work").state == "quarantined", "it is put aside")
    machine.kill()
    machine.start()
    assert machine.account("work").state == "quarantined"
    assert status(machine).spilled == 1
    disk.make_room()
    check_it_works(machine, server)


def test_an_intent_that_cannot_be_closed_does_no_harm(machine: Machine, server: Running, disk: SmallDisk) -> None:
    """The server had done nothing, which finds no room on the disk: after a restart it looks like a lost answer."""
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(replace(unavailable(), hang=True))
    begin_refresh(machine, server)
    disk.fill()
    server.release()
    until(lambda: machine.logged("intent-stays"), "the intent cannot be closed")
    old = machine.token("work")
    machine.kill()
    machine.start()
    assert machine.token("work") == old
    disk.make_room()
    check_it_works(machine, server)
    assert server.reuses == 0


def test_an_orderly_stop_on_a_full_disk_keeps_what_is_in_the_slot(
    machine: Machine, server: Running, disk: SmallDisk
) -> None:
    new = spill(machine, server, disk)
    assert machine.stop() == 0
    machine.start()
    assert machine.token("work").access_token.reveal() == new
    machine.run("lock")
    assert machine.run("unlock").code == 0
    assert machine.token("work").access_token.reveal() == new
    disk.make_room()
    check_it_works(machine, server)
    assert server.reuses == 0


def test_on_a_disk_that_is_full_beforehand_nothing_is_spent(machine: Machine, server: Running, disk: SmallDisk) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    old = machine.token("work").access_token
    disk.fill()

    failed = machine.run("refresh", "work")
    assert (failed.code, failed.out) == (1, "")
    assert failed.err.startswith("aixtiv: error: the disk that holds ")
    assert "aixtiv: hint: df -h " in failed.err
    assert server.refreshes == 0

    assert machine.run("token", "work").out == f"{old.reveal()}\n"
    (shown,) = machine.run("status", "--json").json()["accounts"]
    assert shown["state"] == "failing"
    assert "full" in shown["problem"]
    assert status(machine).spilled == 0

    disk.make_room()
    check_it_works(machine, server)
    assert server.refreshes == 1


def test_a_token_that_expires_on_a_full_disk_is_missed_and_comes_back_by_itself(
    machine: Machine, server: Running, disk: SmallDisk
) -> None:
    machine.start()
    server.tell(access_ttl=2)
    machine.sign_in(visit, server.login("work"))
    server.tell(access_ttl=3600)
    disk.fill()

    until(lambda: machine.run("token", "work", "--wait", "0").code, "the token expires")
    missed = machine.run("token", "work", "--wait", "0")
    assert (missed.code, missed.out) == (1, "")
    assert missed.err.startswith("aixtiv: error: the disk that holds ")
    assert server.refreshes == 0

    with machine.conversation() as watch:
        watch.say(requests.Watch())
        disk.make_room()
        watch.hear_until("refreshed", "work")
    check_it_works(machine, server)
    assert server.refreshes == 2


def test_on_a_full_disk_nobody_is_sent_to_a_browser(machine: Machine, server: Running, disk: SmallDisk) -> None:
    machine.start()
    disk.fill()
    answer = machine.ask(server.login("work"))
    assert isinstance(answer, replies.Failure)
    assert answer.code == "store_failed"
    disk.make_room()
    machine.sign_in(visit, server.login("work"))
    check_it_works(machine, server)


def lose_the_slot(machine: Machine, server: Running, disk: SmallDisk) -> str:
    """A refresh during which somebody takes the slot away, and the disk fills up. The new access token."""
    server.set_weather(hanging())
    begin_refresh(machine, server)
    with (disk.home / "aixtiv/spill").open("r+b") as slot:
        slot.truncate(0)
    disk.fill()
    server.release()
    new = until(lambda: machine.logged("unsaved") and server.newest, "the daemon shouts")
    assert machine.token("work").access_token.reveal() == new
    return new


def test_what_neither_store_nor_slot_takes_is_served_and_saved_as_soon_as_there_is_room(
    machine: Machine, server: Running, disk: SmallDisk
) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    lose_the_slot(machine, server, disk)
    disk.make_room()
    refreshed(machine)
    newer = machine.token("work").access_token.reveal()
    machine.kill()
    machine.start()
    assert machine.token("work").access_token.reveal() == newer
    check_it_works(machine, server)
    assert server.reuses == 0


def test_what_is_only_in_memory_is_not_locked_away(machine: Machine, server: Running, disk: SmallDisk) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    new = lose_the_slot(machine, server, disk)
    refused = machine.run("lock")
    assert (refused.code, refused.out) == (1, "")
    assert "work are only in memory" in refused.err
    assert machine.token("work").access_token.reveal() == new

    disk.make_room()
    assert machine.stop() == 0
    machine.start()
    assert machine.token("work").access_token.reveal() == new
    check_it_works(machine, server)
    assert server.reuses == 0
