"""What a person may do while a refresh is under way: its answer is awaited and kept, whatever comes in between."""

import os
from concurrent.futures import ThreadPoolExecutor
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from faults.expected import begin_refresh, check_it_works, refreshed
from peers.authority import weather as skies
from peers.authority.process import Running, authorization_server
from peers.machine import Machine
from peers.person import visit
from peers.waiting import until


@pytest.fixture
def hanging(machine: Machine, server: Running) -> Machine:
    """Signed in to `work`, whose refresh hangs at the server."""
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.hanging())
    begin_refresh(machine, server)
    return machine


def check_the_answer_was_kept(machine: Machine, server: Running) -> None:
    """The one refresh there was is in the store."""
    assert machine.token("work").access_token.reveal() == server.newest
    assert server.refreshes == 1
    check_it_works(machine, server)
    assert server.reuses == 0


def test_a_refresh_that_hangs_delays_no_token_that_is_in_memory(hanging: Machine, server: Running) -> None:
    with authorization_server() as elsewhere:
        hanging.sign_in(visit, elsewhere.login("other"))
        refreshed(hanging, "other")
        assert hanging.run("token", "other").out == f"{elsewhere.newest}\n"
        assert hanging.run("token", "work").out == f"{server.newest}\n"
        assert server.until()["hanging"] == 1, "all that was answered while this one hung"
    server.release()
    refreshed(hanging)
    check_it_works(hanging, server)


def test_sigterm_lets_the_answer_arrive_and_the_callers_have_it(hanging: Machine, server: Running) -> None:
    with hanging.conversation() as talk:
        talk.say(requests.Token(account="work", min_ttl=3600))
        hanging.ask(requests.Hello(client="a test"))  # whoever is answered now came later
        hanging.signal(SIGTERM)
        until(lambda: not hanging.answers(), "the daemon heeds the signal")
        server.tell(access_ttl=7200)
        server.release()
        token = talk.hear()
    assert hanging.ended() == 0
    assert isinstance(token, replies.AccessToken)
    assert token.access_token.reveal() == server.newest

    hanging.start()
    check_the_answer_was_kept(hanging, server)


def test_a_second_sigterm_does_not_wait_and_loses_nothing(hanging: Machine, server: Running) -> None:
    hanging.signal(SIGTERM)
    until(lambda: hanging.logged("stopping"), "the daemon heeds the signal")
    hanging.signal(SIGTERM)
    assert hanging.ended() == 0
    server.tell(grace=60)
    server.release()  # the server does what it was asked, and nobody hears its answer
    hanging.start()
    refreshed(hanging)
    check_it_works(hanging, server)
    assert server.reuses == 0


def test_an_answer_that_is_there_when_sigterm_comes_a_second_time_is_kept(hanging: Machine, server: Running) -> None:
    """At a server that punishes reuse: it would be the only good one."""
    spent = server.families("ada")[-1].live
    hanging.signal(SIGTERM)
    until(lambda: hanging.logged("stopping"), "the daemon heeds the signal")
    hanging.signal(SIGSTOP)
    server.release()
    until(lambda: server.families("ada")[-1].live != spent, "the server has answered")
    hanging.signal(SIGTERM)
    hanging.signal(SIGCONT)
    assert hanging.ended() == 0
    hanging.start()
    check_the_answer_was_kept(hanging, server)


def test_sigterm_lets_a_sign_in_arrive_and_the_person_sees_so(machine: Machine, server: Running) -> None:
    machine.start()
    server.set_weather(skies.hanging())
    with machine.conversation() as talk, ThreadPoolExecutor() as elsewhere:
        talk.say(server.login("work"))
        started = talk.hear()
        assert isinstance(started, replies.SignInStarted)
        page = elsewhere.submit(visit, started.url)
        server.until(hanging=1)
        machine.signal(SIGTERM)
        until(lambda: not machine.answers(), "the daemon heeds the signal")
        server.release()
        assert "work is signed in as ada@example.test" in page.result().text
    assert machine.ended() == 0
    machine.start()
    assert machine.token("work").access_token.reveal() == server.newest
    check_it_works(machine, server)


def test_stop_lets_the_answer_arrive(hanging: Machine, server: Running) -> None:
    with hanging.running("stop") as stop:
        until(lambda: hanging.logged("stopping"), "the daemon is told to stop")
        assert stop.poll() is None
        server.release()
        out, err = stop.communicate(timeout=30)
    assert (out, err, stop.returncode) == ("stopped\n", "", 0)
    assert hanging.ended() == 0
    hanging.start()
    check_the_answer_was_kept(hanging, server)


def test_lock_lets_the_answer_arrive_and_seals_it(hanging: Machine, server: Running) -> None:
    with hanging.conversation() as sign_in, hanging.conversation() as talk:
        sign_in.say(server.login("another"))
        assert isinstance(sign_in.hear(), replies.SignInStarted)
        talk.say(requests.Lock())
        refused = hanging.ask(requests.Accounts())  # whoever is answered now came later
        assert isinstance(refused, replies.Failure)
        assert refused.code == "locked"
        assert server.until()["hanging"] == 1
        server.release()
        assert isinstance(talk.hear(), replies.Done)
        abandoned = sign_in.hear()
        assert isinstance(abandoned, replies.Failure)
        assert "locked" in abandoned.message
    locked = hanging.run("token", "work")
    assert (locked.code, locked.out) == (6, "")
    assert isinstance(hanging.ask(requests.Unlock()), replies.Done)
    check_the_answer_was_kept(hanging, server)


def test_logout_awaits_the_answer_and_revokes_that_very_pair(hanging: Machine, server: Running) -> None:
    with hanging.conversation() as talk:
        talk.say(requests.Logout(account="work"))
        hanging.ask(requests.Hello(client="a test"))  # whoever is answered now came later
        assert server.until()["hanging"] == 1
        server.release()
        gone = talk.hear()
    assert isinstance(gone, replies.LoggedOut)
    assert gone.revoked, gone.note
    assert server.refreshes == 1
    assert [token for token in server.issued if token[:2] in {"at", "rt"} and server.active(token, "native")] == []
    for _ in range(2):
        assert hanging.run("token", "work").code == 1
        hanging.kill()
        hanging.start()


def test_reload_leaves_what_is_under_way_to_its_end(hanging: Machine, server: Running) -> None:
    hanging.configure('[network]\nproxy = "http://127.0.0.1:9"\nno-proxy = ["127.0.0.1"]\n[refresh]\nat-once = 1\n')
    assert hanging.run("reload").code == 0
    assert server.until()["hanging"] == 1
    server.release()
    refreshed(hanging)
    check_it_works(hanging, server)
    assert server.reuses == 0


def test_an_api_key_stored_meanwhile_does_not_cost_the_answer(hanging: Machine, server: Running) -> None:
    with hanging.conversation() as talk:
        talk.say(requests.ApiKey(account="work", key=Secret("sk-made-up")))
        hanging.ask(requests.Hello(client="a test"))  # whoever is answered now came later
        server.release()
        assert isinstance(talk.hear(), replies.Account)
    until(lambda: hanging.logged("refreshed") or hanging.logged("late-answer"), "the answer has arrived")
    check_the_answer_was_kept(hanging, server)
    hanging.kill()
    hanging.start()
    check_it_works(hanging, server)
    hanging.run("api-key", "remove", "work")
    check_it_works(hanging, server)


def test_callers_who_hang_up_do_not_cut_the_refresh_they_began(machine: Machine, server: Running) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.hanging())
    with machine.running("refresh", "work") as command:
        server.until(hanging=1)
        command.kill()
        command.wait(30)
    server.release()
    until(lambda: machine.logged("refreshed"), "the refresh ends without its caller")
    check_the_answer_was_kept(machine, server)


def test_of_two_daemons_started_at_once_exactly_one_runs(machine: Machine, server: Running) -> None:
    both = [machine.spawn(), machine.spawn()]
    until(lambda: any(one.poll() is not None for one in both), "one of them gives up")
    (loser,) = [one for one in both if one.poll() is not None]
    (winner,) = [one for one in both if one is not loser]
    machine.daemon = winner
    assert loser.returncode == 1
    until(machine.answers, "the other one listens")
    assert [line for line in machine.log.splitlines() if line.startswith("aixtivd: error: ")] != []
    assert len(machine.logged("ended")) == 1
    assert "Traceback" not in machine.log
    machine.sign_in(visit, server.login("work"))
    check_it_works(machine, server)

    third = machine.spawn()
    assert third.wait(30) == 1
    assert f"process {winner.pid}" in machine.log
    machine.daemon = winner
    assert machine.token("work").access_token.reveal() == server.newest
    os.kill(winner.pid, 0)
