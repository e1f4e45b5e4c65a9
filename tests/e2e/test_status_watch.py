"""`aixtiv status --watch` beside a real daemon that is locked, restarted and unlocked under it."""

from pathlib import Path

from peers.machine import SCRIPTS, Machine
from peers.terminal import Terminal


def test_it_shows_what_happens_and_survives_a_restart(folder: Path) -> None:
    with Machine(folder) as machine:
        machine.configure('[vault]\nkey = "file"\n')
        machine.start()
        with Terminal([str(SCRIPTS / "aixtiv"), "status", "--watch"], machine.environ, machine.home) as person:
            person.until("no account yet")
            assert machine.run("service", "restart").code == 0
            machine.run("lock")  # which the new one tells of
            person.until("locked: it was locked on request")
            machine.stop()
            person.until("the daemon is not running; this is how it was at")
            machine.start()
            assert "this is how it was" not in person.until("no account yet").split("daemon")[-1]
            person.type("\x03")
            assert person.ended() == 130
