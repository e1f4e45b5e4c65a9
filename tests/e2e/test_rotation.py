"""Refresh tokens that work once, at a server that revokes everything when one comes twice."""

import signal
import time
from contextlib import ExitStack

from aixtiv_protocol import replies, requests
from peers.machine import Machine
from peers.person import visit
from peers.provider import Provider, oidc_provider

CONNECTIONS = 200  # of the thousand callers, who ask five times each without waiting for the answer
LIFE = 3  # seconds of an access token here: each is refreshed after about half of that


def test_ten_generations_pass_in_the_background_and_no_token_is_ever_spent_twice(machine: Machine) -> None:
    with oidc_provider(accessToken=LIFE) as provider:
        machine.sign_in(visit, provider.login("work"))
        seen = {machine.token("work").access_token.reveal()}
        with machine.conversation() as watch:
            watch.say(requests.Watch())
            for _ in range(10):
                watch.hear_until("refreshed", "work")
                token = machine.token("work")
                seen.add(token.access_token.reveal())
                assert provider.active(token.access_token.reveal())
        assert len(seen) == 11
        assert machine.account("work").generation >= 11
        assert provider.refreshes >= 10
        assert provider.reuses == 0


def test_reuse_detection_would_have_told_us(machine: Machine, provider: Provider) -> None:
    """The counterpart itself: a spent token that comes again is counted, and ends the grant."""
    machine.sign_in(visit, provider.login("work", client="basic"))
    first = provider.seen("granted")[-1]["secrets"][1]
    assert isinstance(machine.ask(requests.Refresh(account="work")), replies.Account)
    status, answer = provider.post("/token", grant_type="refresh_token", refresh_token=first)
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert provider.reuses == 1
    assert not provider.active(machine.token("work").access_token.reveal())


def test_a_thousand_callers_of_one_expired_token_cost_one_refresh_and_get_the_same_new_one(machine: Machine) -> None:
    """The daemon is held through the expiry, as on a laptop that sleeps, and wakes with everybody at the door."""
    with oidc_provider(accessToken=5) as provider, ExitStack() as stack:
        machine.sign_in(visit, provider.login("work"))
        old = machine.token("work")
        talks = [stack.enter_context(machine.conversation(timeout=60)) for _ in range(CONNECTIONS)]
        machine.signal(signal.SIGSTOP)
        assert provider.refreshes == 0
        provider.tell(accessToken=3600)
        for talk in talks:
            for _ in range(1000 // CONNECTIONS):
                talk.say(requests.Token(account="work", wait=60))
        while time.time() <= old.expires_at + 1 or provider.active(old.access_token.reveal()):
            time.sleep(0.05)  # nobody announces that a token has expired; `expires_at` has the second rounded off
        machine.signal(signal.SIGCONT)
        answers = [talk.hear() for talk in talks for _ in range(1000 // CONNECTIONS)]
        assert {type(answer) for answer in answers} == {replies.AccessToken}
        tokens = {answer.access_token.reveal() for answer in answers if isinstance(answer, replies.AccessToken)}
        assert len(answers) == 1000
        assert len(tokens) == 1
        assert old.access_token.reveal() not in tokens
        assert provider.refreshes == 1


def test_logout_revokes_at_the_provider_and_forgets(machine: Machine, provider: Provider) -> None:
    machine.sign_in(visit, provider.login("work"))
    token = machine.token("work").access_token.reveal()
    assert provider.active(token)
    gone = machine.run("logout", "work")
    assert gone.code == 0, gone.err
    assert not provider.active(token)
    refresh_token = provider.seen("granted")[-1]["secrets"][1]
    assert not provider.active(refresh_token)
    assert machine.run("token", "work").code == 1


def test_verify_asks_the_provider_and_shows_the_id_token(machine: Machine, provider: Provider) -> None:
    machine.sign_in(visit, provider.login("work", client="basic"))
    verified = machine.run("verify", "work", "--json").json()
    assert verified["active"] is True
    assert verified["id_token"] == "valid"
    assert verified["id_token_age"] < 60

    provider.post("/token/revocation", token=machine.token("work").access_token.reveal())
    assert machine.run("verify", "work", "--json").out.count('"active":false') == 1


def test_a_grant_that_the_provider_revoked_is_quarantined_with_a_sentence_and_never_erased(
    machine: Machine, provider: Provider
) -> None:
    machine.sign_in(visit, provider.login("work", client="basic"))
    refresh_token = provider.seen("granted")[-1]["secrets"][1]
    provider.post("/token/revocation", token=refresh_token)

    refused = machine.run("refresh", "work")
    assert refused.code == 3
    assert "aixtiv login work" in refused.err
    account = machine.account("work")
    assert account.state == "quarantined"
    assert account.hint == "aixtiv login work"

    machine.stop()
    machine.start()
    assert machine.account("work").state == "quarantined"
    assert machine.sign_in(visit, provider.login("work", client="basic")).state == "fresh"
