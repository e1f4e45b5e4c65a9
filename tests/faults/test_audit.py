"""The audit log where the disk takes nothing: nobody is kept waiting, it is said, and nothing is missing afterwards."""

import json

from peers.disks import SmallDisk
from peers.machine import Machine
from peers.waiting import until

KEY = "sk-ant-api03-made-up-for-this-test-only"


def problem(machine: Machine) -> str:
    said: str = machine.run("status", "--json").json()["audit_problem"]
    return said


def test_on_a_full_disk_tokens_are_served_it_is_said_and_the_log_is_whole_afterwards(
    machine: Machine, disk: SmallDisk
) -> None:
    machine.start()
    assert machine.run("api-key", "set", "anthropic", stdin=f"{KEY}\n").code == 0
    assert machine.run("audit").code == 0
    disk.fill()
    with machine.conversation():  # one that is open is kept, too
        for number in range(40):  # until the last blocks of files that exist are used up
            agent = f"agent-{number}".ljust(390, "x")
            assert machine.run("token", "anthropic", "--min-ttl", "1", AIXTIV_AGENT_ID=agent).out == f"{KEY}\n"
        until(lambda: "full" in problem(machine) or "no space" in problem(machine), "the full disk is said")
    assert "audit log" in machine.run("status").out
    assert machine.logged("audit-fails")
    disk.make_room()
    until(lambda: problem(machine) == "", "the disk takes it again")
    records = [json.loads(line) for line in machine.run("audit", "--limit", "0", "--json").out.splitlines()]
    assert [int(record["agent"][6:8].rstrip("x")) for record in records if record["what"] == "token"] == list(range(40))
    assert machine.run("audit", "verify", "--json").json() == {
        "intact": True,
        "records": len(records),
        "problem": "",
        "plain": 0,
    }
