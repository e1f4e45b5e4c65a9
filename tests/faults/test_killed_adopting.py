"""`kill -9` at every step of proving a refresh token that was brought over: the next start finishes it."""

from signal import SIGKILL

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.host.faults import VARIABLE
from faults.expected import check_it_works
from peers.authority.process import Running
from peers.machine import Machine
from peers.person import visit
from peers.waiting import until

# The other sign-in passes the commit's points first; that the token is stored passes none of them.
STEPS = (
    pytest.param("before-intent", marks=pytest.mark.slow),
    "after-intent",
    "after-post",
    "before-commit:2",
    pytest.param("after-commit:2", marks=pytest.mark.slow),
)


def brought(machine: Machine, server: Running) -> requests.Adopt:
    """What another program had: here, another account."""
    login = server.login("other")
    machine.sign_in(visit, login)
    token = server.families("ada")[-1].live
    return requests.Adopt(refresh_token=Secret(token), account="work", provider="work", settings=login.settings)


def die_adopting(machine: Machine, asked: requests.Adopt) -> None:
    with machine.conversation() as talk:
        talk.say(asked)
        assert machine.ended() == -SIGKILL
        with pytest.raises((EOFError, ConnectionError)):
            talk.hear()


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_the_proof_the_next_start_finishes_it(machine: Machine, server: Running, step: str) -> None:
    server.tell(grace=60)
    machine.start(**{VARIABLE: step})
    die_adopting(machine, brought(machine, server))

    machine.start()
    until(lambda: machine.account("work").state == "fresh", "work is proved")
    check_it_works(machine, server)
    assert server.reuses == 0
