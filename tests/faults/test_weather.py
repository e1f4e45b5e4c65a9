"""Bad weather through the whole daemon: what callers get, what a person is told, what the server hears, and then."""

import time
from typing import Literal

import pytest
from msgspec import Struct
from msgspec.structs import replace

from aixtiv_protocol import replies, requests
from faults.expected import begin_refresh, check_it_is_kept_for_a_person, check_it_works, refreshed
from peers.authority import weather as skies
from peers.authority.process import Running
from peers.authority.weather import Weather
from peers.machine import Machine
from peers.person import visit
from peers.waiting import until

AGAIN = "aixtiv refresh work"
EITHER = "aixtiv refresh work, or aixtiv login work"


class Row(Struct, frozen=True, kw_only=True):
    sky: Weather
    exit: int  # of `aixtiv refresh`, and of `aixtiv token` where the token is too old
    says: str
    state: str = "failing"
    hint: str = AGAIN
    tries: Literal["when due", "at once", "when told"] = "when due"
    grace: float = 0.0  # of the server, whose answer is lost or may be


ROWS = {
    "200 with a web page": Row(sky=skies.web_page(), exit=4, says="answered with a web page"),
    "429 with Retry-After": Row(sky=skies.too_many("120"), exit=4, says="answered 429", tries="when told"),
    "503": Row(sky=skies.unavailable(), exit=4, says="answered 503"),
    "200 with an OAuth error": Row(
        sky=skies.says("invalid_grant", 200), exit=1, says="invalid_grant", hint=EITHER, tries="when told"
    ),
    "an unknown error": Row(
        sky=skies.says("flux_capacitor", description="1.21 GW"),
        exit=1,
        says="flux_capacitor: 1.21 GW",
        hint=EITHER,
        tries="when told",
    ),
    "invalid_client": Row(
        sky=skies.says("invalid_client", 401), exit=1, says="invalid_client", hint=EITHER, tries="when told"
    ),
    "invalid_grant": Row(
        sky=skies.says("invalid_grant"),
        exit=3,
        says="invalid_grant",
        state="quarantined",
        hint="aixtiv login work",
        tries="when told",
    ),
    "a connection cut before anything happened": Row(
        sky=skies.cut(), exit=4, says="cut the connection", tries="at once"
    ),
    "a connection cut after the server rotated": Row(
        sky=skies.lost(), exit=4, says="cut the connection", tries="at once", grace=60
    ),
    "a server that hangs": Row(
        sky=skies.hanging(), exit=4, says="did not answer within 1 second", tries="at once", grace=60
    ),
    "a body of two megabytes": Row(
        sky=skies.large(), exit=4, says="answered with more than 1048576 bytes", tries="at once", grace=60
    ),
}


def under(server: Running, sky: Weather, times: int = 30) -> None:
    """For every refresh until it is calm."""
    server.set_weather(*([replace(sky, grant="refresh_token")] * times))


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_in_bad_weather_an_unexpired_token_is_served_and_the_account_comes_back(
    machine: Machine, server: Running, row: Row
) -> None:
    if row.sky.hang:
        machine.configure("[refresh]\ntimeout = 1\n")
    server.tell(grace=row.grace)
    machine.start()
    machine.sign_in(visit, server.login("work"))
    old = machine.token("work").access_token.reveal()
    if row.tries == "at once":
        server.set_weather(row.sky)
        under(server, skies.hanging())
    else:
        under(server, row.sky)

    failed = machine.run("refresh", "work")
    heard = server.refreshes
    assert (failed.code, failed.out) == (row.exit, "")
    assert failed.err.startswith("aixtiv: error: work: ")
    assert row.says in failed.err
    assert f"aixtiv: hint: {row.hint}\n" in failed.err
    assert heard == 1 or row.tries == "at once"

    served = machine.run("token", "work")
    assert (served.out, served.code) == (f"{old}\n", 0)
    (shown,) = machine.run("status", "--json").json()["accounts"]
    assert shown["state"] == row.state
    assert row.says in shown["problem"]
    assert shown["hint"] == row.hint
    starved = machine.run("token", "work", "--min-ttl", "3600", "--wait", "0")
    assert (starved.code, starved.out) == (row.exit, "")

    if row.sky.hang:
        machine.configure("")
        assert machine.run("reload").code == 0
    server.tell(access_ttl=7200)
    match row.tries:
        case "at once":  # nobody has to ask: whether the token was spent must be known soon
            server.until(refreshes=2, hanging=1)
            server.calm()
        case "when told":
            assert server.refreshes == heard
            server.calm()
            refreshed(machine)
        case "when due":
            server.calm()
    newer = machine.token("work", min_ttl=3600, wait=20)
    assert newer.access_token.reveal() == server.newest
    check_it_works(machine, server)
    assert server.reuses == 0


def test_retry_after_is_told_to_callers_and_kept(machine: Machine, server: Running) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.too_many("200"))
    for asked in (requests.Refresh(account="work"), requests.Token(account="work", min_ttl=3600, wait=10)):
        failure = machine.ask(asked)
        assert isinstance(failure, replies.Failure)
        assert (failure.code, failure.retry) == ("unreachable", True)
        assert 150 < failure.retry_after <= 200
    assert server.refreshes == 1
    check_it_works(machine, server)  # a person may ask sooner


@pytest.mark.parametrize(
    ("sky", "code"),
    [(skies.unavailable(), 4), (skies.says("invalid_grant"), 3)],
    ids=["503", "invalid_grant"],
)
def test_a_token_that_expires_in_bad_weather_is_missed_with_the_reason(
    machine: Machine, server: Running, sky: Weather, code: int
) -> None:
    machine.start()
    server.tell(access_ttl=1)
    under(server, sky)
    machine.sign_in(visit, server.login("work"))
    old = machine.run("token", "work", "--wait", "0")
    while old.code == 0:
        last, old = old, machine.run("token", "work", "--wait", "0")
        assert old.out in {"", last.out}
    assert (old.code, old.out) == (code, "")
    assert old.err.startswith("aixtiv: error: work: ")
    assert "aixtiv: hint: aixtiv " in old.err

    server.tell(access_ttl=3600)
    server.calm()
    if code != 4:
        refreshed(machine)
    until(lambda: machine.account("work").state == "fresh", "the account comes back by itself")
    check_it_works(machine, server)
    assert server.reuses == 0


def test_an_answer_lost_at_a_server_that_punishes_reuse_puts_the_account_aside(
    machine: Machine, server: Running
) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    old = machine.token("work").access_token
    server.set_weather(skies.lost())
    assert machine.run("refresh", "work").code == 4
    until(lambda: machine.account("work").state == "quarantined", "the one further try is refused")
    assert machine.token("work").access_token == old, "nobody knows whether the server still takes it"
    check_it_is_kept_for_a_person(machine, server)
    assert machine.sign_in(visit, server.login("work")).state == "fresh"


def test_without_expires_in_the_default_lifetime_counts(machine: Machine, server: Running) -> None:
    machine.configure("[provider.work]\ndefault-lifetime = 1200\n")
    machine.start()
    server.set_weather(skies.no_lifetime(), skies.no_lifetime())
    machine.sign_in(visit, server.login("work"))
    assert machine.token("work").expires_at == pytest.approx(time.time() + 1200, abs=30)
    refreshed(machine)
    assert machine.token("work").expires_at == pytest.approx(time.time() + 1200, abs=30)
    check_it_works(machine, server)


def test_without_a_new_refresh_token_the_old_one_stays(machine: Machine, server: Running) -> None:
    server.tell(grace=60)
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.no_new_refresh_token())
    refreshed(machine)
    assert machine.token("work").access_token.reveal() == server.newest
    machine.kill()
    machine.start()
    check_it_works(machine, server)
    assert server.reuses == 0


@pytest.mark.parametrize("sky", [Weather(cut="body", first=("refresh_token",)), skies.large()], ids=["cut", "large"])
def test_a_new_refresh_token_that_came_before_the_answer_was_cut_is_kept_and_tried_next(
    machine: Machine, server: Running, sky: Weather
) -> None:
    """At a server that punishes reuse: the old one would end the grant."""
    machine.start()
    machine.sign_in(visit, server.login("work"))
    old = machine.token("work").access_token
    server.set_weather(sky)
    assert machine.run("refresh", "work").code == 4
    until(lambda: machine.account("work").state == "fresh", "it is tried again by itself")
    assert machine.token("work").access_token.reveal() == server.newest != old.reveal()
    check_it_works(machine, server)
    assert server.reuses == 0


def test_a_slow_answer_is_a_good_answer(machine: Machine, server: Running) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.hanging())
    begin_refresh(machine, server)
    server.release()
    refreshed(machine)
    check_it_works(machine, server)
    assert server.reuses == 0


@pytest.mark.parametrize("name", ["503", "invalid_grant", "a body of two megabytes"])
def test_bad_weather_at_a_sign_in_leaves_what_was_there(machine: Machine, server: Running, name: str) -> None:
    machine.start()
    machine.sign_in(visit, server.login("work"))
    old = machine.token("work")
    server.set_weather(replace(ROWS[name].sky, grant="authorization_code"))
    with machine.conversation() as talk:
        talk.say(server.login("work"))
        started = talk.hear()
        assert isinstance(started, replies.SignInStarted)
        assert "not signed in" in visit(started.url).text.lower()
        assert isinstance(talk.hear(), replies.Failure)
    assert machine.token("work") == old
    assert machine.account("work").state == "fresh"
    check_it_works(machine, server)
