"""An answer that comes after a newer sign-in changes nothing, whatever it says."""

import pytest
from msgspec.structs import replace

from aixtiv_protocol import replies, requests
from faults.expected import begin_refresh, check_it_works
from peers.authority import weather as skies
from peers.authority.process import Running
from peers.authority.weather import Weather
from peers.machine import Machine
from peers.person import visit
from peers.waiting import until

LATE = {
    "a new pair": skies.hanging(),
    "invalid_grant": replace(skies.says("invalid_grant"), hang=True),
    "invalid_client": replace(skies.says("invalid_client", 401), hang=True),
    "an unknown error": replace(skies.says("flux_capacitor"), hang=True),
    "503": replace(skies.unavailable(), hang=True),
    "a cut connection": replace(skies.lost(), hang=True),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE.keys())
def test_a_late_answer_changes_nothing_about_a_newer_sign_in(machine: Machine, server: Running, late: Weather) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(late)
    with machine.conversation() as talk:
        talk.say(requests.Refresh(account="work"))
        server.until(hanging=1)
        machine.sign_in(visit, server.login("work"))
        signed_in = machine.token("work")
        server.release()
        assert isinstance(talk.hear(), replies.Account), "there is a good token, which is what was asked for"

    until(lambda: machine.logged("late-answer"), "the answer has come")
    until(lambda: machine.account("work").next_refresh, "the newer grant has its own plan")
    assert machine.token("work") == signed_in
    found = machine.account("work")
    assert (found.state, found.problem, found.hint) == ("fresh", "", "")
    assert found.next_refresh > signed_in.expires_at - 1800, "not soon, as after a failure"
    machine.kill()
    machine.start()
    assert machine.token("work") == signed_in
    assert server.refreshes == 1, "nothing is left that would have to be finished"
    check_it_works(machine, server)
    assert server.reuses == 0


def test_a_sign_in_under_another_name_while_a_refresh_hangs_is_another_account(
    machine: Machine, server: Running
) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.hanging())
    begin_refresh(machine, server)
    machine.sign_in(visit, server.login("work/second"))
    check_it_works(machine, server, "work/second")
    server.release()
    until(lambda: machine.account("work").generation == 2, "the refresh of the first is settled")
    check_it_works(machine, server)
    check_it_works(machine, server, "work/second")
    assert server.reuses == 0
