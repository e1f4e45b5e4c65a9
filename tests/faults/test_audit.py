"""The audit log where the disk takes nothing: nobody is kept waiting, it is said, and nothing is missing afterwards."""

import json
import socket

from aixtiv_protocol import requests
from aixtiv_protocol.replies import Failure
from aixtiv_protocol.secret import Secret
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
        "first": 1,
        "problem": "",
        "plain": 0,
    }


def test_with_stop_nothing_is_handed_out_on_a_full_disk_and_it_goes_on_by_itself(
    machine: Machine, disk: SmallDisk
) -> None:
    machine.configure('[audit]\non-failure = "stop"\n')
    machine.start()
    assert machine.run("api-key", "set", "anthropic", stdin=f"{KEY}\n").code == 0
    disk.fill()
    served = 0
    with machine.conversation() as talk:

        def refused_at_last() -> Failure | None:
            nonlocal served
            talk.say(requests.Token(account="anthropic", agent=f"{'x' * 380}{served}"))  # equal ones are one record
            reply = talk.hear()
            served += not isinstance(reply, Failure)
            return reply if isinstance(reply, Failure) else None

        for _ in range(40):  # until the last blocks of files that exist are used up
            refused_at_last()
        failure = until(refused_at_last, "the full disk is noticed")
        assert failure
        assert (failure.code, failure.message.partition(":")[0]) == (
            "store_failed",
            "nothing is handed out that cannot be recorded (audit.on-failure)",
        )
        for asked in (
            requests.Ticket(account="anthropic", holder="none", ttl=60),
            requests.Token(account="anthropic", form="bare"),
            requests.Relay(method="GET", path="/v1/models", account="anthropic"),
            requests.Export(new_passphrase=Secret("correct horse battery staple")),
        ):
            talk.say(asked)
            refused = talk.hear()
            assert isinstance(refused, Failure), asked
            assert "nothing is handed out" in refused.message, asked
    with socket.socket(socket.AF_UNIX) as tool:
        tool.settimeout(10)
        tool.connect(str(machine.socket.with_name("claude.sock")))
        tool.sendall(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert tool.recv(4096).startswith(b"HTTP/1.1 503 ")
    ran = machine.run("token", "anthropic")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("aixtiv: error: nothing is handed out that cannot be recorded")
    assert "nothing is handed out meanwhile" in machine.run("status").out
    disk.make_room()
    until(lambda: machine.run("token", "anthropic").code == 0, "it goes on by itself")
    records = [json.loads(line) for line in machine.run("audit", "--limit", "0", "--json").out.splitlines()]
    handed = [record for record in records if record["what"] == "token" and record["ok"]]
    assert len(handed) == served + 1, "what was handed out before it was noticed is recorded later"
    assert machine.run("audit", "verify").code == 0
