"""`kill -9` in the middle of a rename, and of an earlier generation's return: one whole account is left."""

from signal import SIGKILL

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import Request
from aixtivd.host.faults import VARIABLE
from faults.expected import check_it_works, refreshed
from peers.authority.process import Running
from peers.machine import Machine
from peers.person import visit

# Each sign-in and refresh passes the commit's points first, and a refresh those of its intent.
BACK = {
    "before-commit-all": False,  # whether the earlier generation was on disk
    "after-commit-all": True,
    "before-intent": True,
    "after-intent": True,
    "after-post": True,
    "before-commit:3": True,
    "after-commit:3": True,
}

OWN = ("before-commit-all", "after-commit-all", "after-post")  # the others are as in any refresh


def die(machine: Machine, asked: Request) -> None:
    with machine.conversation() as talk:
        talk.say(asked)
        assert machine.ended() == -SIGKILL
        with pytest.raises((EOFError, ConnectionError)):
            talk.hear()


def names(machine: Machine) -> list[str]:
    found = machine.ask(requests.Accounts())
    assert isinstance(found, replies.AccountList), found
    return [account.name for account in found.accounts]


@pytest.mark.parametrize("step", ["before-relabelled", "after-relabelled"])
def test_killed_in_a_rename_there_is_one_whole_account_of_either_name(
    machine: Machine, server: Running, step: str
) -> None:
    machine.start(**{VARIABLE: step})
    machine.sign_in(visit, server.login("work"))
    made = machine.ask(requests.Ticket(account="work", verbs=("token",), holder="none"))
    assert isinstance(made, replies.TicketMade), made
    die(machine, requests.Rename(account="work", to="job"))

    machine.start()
    name = "job" if step.startswith("after") else "work"
    assert names(machine) == [name]
    shown = machine.ask(requests.Token(ticket=made.ticket))
    assert isinstance(shown, replies.AccessToken), shown
    assert shown.account == name, "its ticket is for it, under the name that it has"
    check_it_works(machine, server, name)
    assert server.reuses == 0
    if name == "work":
        changed = machine.ask(requests.Rename(account="work", to="job"))
        assert isinstance(changed, replies.AccountChanged), changed
        check_it_works(machine, server, "job")


def test_killed_with_a_lost_answer_behind_it_a_renamed_account_finishes_what_was_begun(
    machine: Machine, server: Running
) -> None:
    server.tell(grace=60)
    machine.start(**{VARIABLE: "after-post"})
    machine.sign_in(visit, server.login("work"))
    die(machine, requests.Refresh(account="work"))
    machine.configure("[refresh]\nat-once = 1\n")
    machine.start(**{VARIABLE: "after-relabelled"})
    die(machine, requests.Rename(account="work", to="job"))

    machine.start()
    refreshed(machine, "job")
    check_it_works(machine, server, "job")
    assert server.reuses == 0


@pytest.mark.parametrize("step", [step if step in OWN else pytest.param(step, marks=pytest.mark.slow) for step in BACK])
def test_killed_while_an_earlier_generation_comes_back_none_of_them_is_lost(
    machine: Machine, server: Running, step: str
) -> None:
    server.tell(grace=60)
    machine.start(**{VARIABLE: step})
    login = server.login("work")
    machine.sign_in(visit, login)
    first = machine.account("work")
    second = machine.sign_in(visit, login)
    assert second.signed_in_at >= first.signed_in_at
    die(machine, requests.Reinstate(account="work"))

    machine.start()
    kept = machine.ask(requests.Generations(account="work"))
    assert isinstance(kept, replies.GenerationList), kept
    assert kept.generations[0].current
    numbers = [one.number for one in kept.generations]
    assert {first.generation, second.generation} <= set(numbers)
    assert (max(numbers) > second.generation) == BACK[step]
    refreshed(machine)
    check_it_works(machine, server)
    assert server.reuses == 0
