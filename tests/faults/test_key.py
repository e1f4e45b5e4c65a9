"""The vault's key rotated and moved under a real daemon: amid a refresh, killed in between, on a full disk."""

from signal import SIGKILL

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.host.faults import VARIABLE
from faults.expected import begin_refresh, check_it_works, status
from peers.authority import weather as skies
from peers.authority.process import Running
from peers.disks import SmallDisk
from peers.machine import Machine
from peers.person import visit

PHRASE = Secret("correct horse")


def checked(machine: Machine) -> replies.KeyChecked:
    found = machine.ask(requests.KeyCheck())
    assert isinstance(found, replies.KeyChecked), found
    return found


def check_the_audit_log_is_whole(machine: Machine) -> None:
    verdict = machine.ask(requests.Audit(verify=True))
    assert isinstance(verdict, replies.AuditVerdict)
    assert (verdict.intact, verdict.problem) == (True, "")


def die_asking(machine: Machine, asked: requests.Request) -> None:
    with machine.conversation() as talk:
        talk.say(asked)
        assert machine.ended() == -SIGKILL
        with pytest.raises((EOFError, ConnectionError)):
            talk.hear()


@pytest.mark.parametrize("step", ["rotate-row:2", "rotate-sealed", "rotate-committed"])
def test_killed_in_a_rotation_every_account_works_and_the_log_is_whole(
    machine: Machine, server: Running, step: str
) -> None:
    machine.start(**{VARIABLE: step})
    machine.sign_in(visit, server.login("work"))
    machine.sign_in(visit, server.login("other"))
    tokens = machine.token("work"), machine.token("other")
    die_asking(machine, requests.KeyRotate())

    machine.start()
    assert (machine.token("work"), machine.token("other")) == tokens
    found = checked(machine)
    assert (bool(found.rotated_at), found.damaged) == (step == "rotate-committed", 0)
    assert machine.run("key", "rotate").code == 0
    check_it_works(machine, server)
    check_it_works(machine, server, "other")
    check_the_audit_log_is_whole(machine)
    assert server.reuses == 0


@pytest.mark.parametrize("step", ["rotate-sealed", "rotate-committed"])
def test_killed_moving_to_a_passphrase_one_of_the_two_opens_it(machine: Machine, server: Running, step: str) -> None:
    machine.start(**{VARIABLE: step})
    machine.sign_in(visit, server.login("work"))
    token = machine.token("work")
    die_asking(machine, requests.KeyMove(to="passphrase", new_passphrase=PHRASE))

    machine.start()
    assert status(machine).locked == (step == "rotate-committed")
    assert machine.run("unlock", stdin="correct horse\n").code == 0
    assert machine.token("work") == token
    check_it_works(machine, server)
    check_the_audit_log_is_whole(machine)
    assert machine.stop() == 0  # by now the log has been written: the first daemon may have died before its first line
    assert PHRASE.reveal() not in machine.log + (machine.state / "audit.log").read_text()


def test_a_rotation_lets_a_refresh_arrive_and_seals_it(machine: Machine, server: Running) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.hanging())
    begin_refresh(machine, server)
    with machine.running("key", "rotate") as rotation, machine.conversation() as talk:
        talk.say(requests.Token(account="work"))
        assert isinstance(talk.hear(), replies.AccessToken), "a token in memory is served meanwhile"
        assert rotation.poll() is None
        server.release()
        out, err = rotation.communicate(timeout=30)
    assert (out, rotation.returncode) == ("a new data key\n", 0), err
    machine.kill()
    machine.start()
    assert machine.token("work").access_token.reveal() == server.newest
    assert server.refreshes == 1
    check_it_works(machine, server)
    check_the_audit_log_is_whole(machine)
    assert server.reuses == 0


def test_on_a_full_disk_nothing_changes_and_when_there_is_room_it_succeeds(
    machine: Machine, server: Running, disk: SmallDisk
) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    disk.fill()
    for words in (["rotate"], ["move", "--to", "file"]):
        refused = machine.run("key", *words)
        assert (refused.code, refused.out) != (0, "")
        assert "aixtiv: hint: df -h " in refused.err
    assert checked(machine).rotated_at == 0
    disk.make_room()
    assert machine.run("key", "rotate").code == 0
    assert checked(machine).rotated_at
    machine.kill()
    machine.start()
    check_it_works(machine, server)
    check_the_audit_log_is_whole(machine)


def test_tickets_and_the_log_go_on_over_a_rotation_and_a_move(machine: Machine, server: Running) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    ticket = machine.run("ticket", "new", "work", "--lasting", "--verb", "token").out.strip()
    for words in (["rotate"], ["move", "--to", "file"], ["rotate"]):
        assert machine.run("key", *words).code == 0
        check_the_audit_log_is_whole(machine)
    machine.stop()
    machine.start()
    check_the_audit_log_is_whole(machine)
    assert machine.ask(requests.Token(ticket=Secret(ticket))) == machine.token("work")
    told = [line for line in machine.run("audit").out.splitlines() if "  key  " in line]
    assert len(told) == 3
