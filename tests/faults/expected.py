"""What every fault must leave behind: an account that works, or one that is put aside and kept."""

from typing import Final

from aixtiv_protocol import replies, requests
from peers.authority.process import Running
from peers.machine import Machine
from peers.waiting import until

# What a server does when a refresh token comes that it has already taken.
KINDS: Final[dict[str, dict[str, float | bool]]] = {
    "punishes reuse": {},
    "allows a grace time": {"grace": 60.0},
    "does not rotate": {"rotate": False},
}


def status(machine: Machine) -> replies.DaemonStatus:
    found = machine.ask(requests.Status())
    assert isinstance(found, replies.DaemonStatus), found
    return found


def refreshed(machine: Machine, account: str = "work") -> replies.Account:
    """After a refresh of ours, or after the one that was under way. It must succeed."""
    found = machine.ask(requests.Refresh(account=account))
    assert isinstance(found, replies.Account), found
    return found


def begin_refresh(machine: Machine, server: Running, account: str = "work") -> None:
    """A refresh whose answer the server keeps back until `release`; nobody waits for it."""
    hanging = server.until()["hanging"]
    with machine.conversation() as talk:
        talk.say(requests.Refresh(account=account))
        server.until(hanging=hanging + 1)


def check_it_works(machine: Machine, server: Running, account: str = "work") -> None:
    """A token that the server takes is served, and one more refresh succeeds."""
    before = machine.token(account)
    assert server.active(before.access_token.reveal(), "native")
    assert refreshed(machine, account).generation > before.generation
    after = machine.token(account).access_token
    assert after != before.access_token
    assert after.reveal() == server.newest
    assert server.active(after.reveal(), "native")
    found = machine.account(account)
    assert (found.state, found.problem) == ("fresh", "")


def check_it_is_kept_for_a_person(machine: Machine, server: Running, account: str = "work") -> None:
    """Quarantined, by itself; told in a sentence with a command; still there to be tried, however often we restart."""
    until(lambda: machine.account(account).state == "quarantined", f"{account} is put aside")
    assert "lost" in machine.account(account).problem
    for _ in range(2):
        (shown,) = machine.run("status", "--json").json()["accounts"]
        assert shown["state"] == "quarantined"
        assert shown["problem"].startswith(f"{account}: ")
        assert shown["hint"] == f"aixtiv login {account}"

        tried = server.refreshes
        again = machine.run("refresh", account)
        assert (again.code, again.out) == (3, "")
        assert f"aixtiv: hint: aixtiv login {account}\n" in again.err
        assert server.refreshes == tried + 1, "the refresh token is still in the store"
        machine.kill()
        machine.start()
