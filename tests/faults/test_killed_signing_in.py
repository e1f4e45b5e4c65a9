"""`kill -9` at every step of a sign-in's commit: what the page did not say need not be so, what it said is."""

from signal import SIGKILL

import pytest

from aixtiv_protocol import replies
from aixtivd.host.faults import VARIABLE
from faults.expected import check_it_works, status
from peers.authority.process import Running
from peers.disks import SmallDisk
from peers.machine import Machine
from peers.person import visit

AGAIN = pytest.mark.parametrize("again", [False, True], ids=["first sign-in", "another sign-in"])


def die_signing_in(machine: Machine, server: Running, disk: SmallDisk | None = None) -> None:
    """The daemon dies while the browser waits for its last page. `disk`: full by the time the person comes back."""
    with machine.conversation() as talk:
        talk.say(server.login("work"))
        started = talk.hear()
        assert isinstance(started, replies.SignInStarted), started
        if disk:
            disk.fill()
        with pytest.raises(ConnectionError):
            visit(started.url)
        assert machine.ended() == -SIGKILL


@AGAIN
def test_killed_before_the_commit_everything_is_as_it_was(machine: Machine, server: Running, *, again: bool) -> None:
    machine.start(**{VARIABLE: "before-commit:2" if again else "before-commit"})
    if again:
        machine.sign_in(visit, server.login("work"))
    die_signing_in(machine, server)

    machine.start()
    if not again:
        gone = machine.run("token", "work")
        assert (gone.code, gone.out) == (1, "")
        assert "aixtiv: hint: aixtiv login work\n" in gone.err
        machine.sign_in(visit, server.login("work"))
    check_it_works(machine, server)
    assert server.reuses == 0


@AGAIN
def test_killed_after_the_commit_the_person_is_signed_in(machine: Machine, server: Running, *, again: bool) -> None:
    machine.start(**{VARIABLE: "after-commit:2" if again else "after-commit"})
    if again:
        machine.sign_in(visit, server.login("work"))
    die_signing_in(machine, server)

    machine.start()
    assert machine.token("work").access_token.reveal() == server.newest
    check_it_works(machine, server)
    assert server.reuses == 0


@AGAIN
def test_killed_with_the_sign_in_in_the_spill_slot_the_person_is_signed_in(
    machine: Machine, server: Running, disk: SmallDisk, *, again: bool
) -> None:
    machine.start(**{VARIABLE: "spill-written"})
    if again:
        machine.sign_in(visit, server.login("work"))
    die_signing_in(machine, server, disk)

    machine.start()
    assert machine.token("work").access_token.reveal() == server.newest
    assert status(machine).spilled == 1
    disk.make_room()
    check_it_works(machine, server)
    assert status(machine).spilled == 0
    assert server.reuses == 0
