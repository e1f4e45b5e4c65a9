"""Signing in at the real oidc-provider: what succeeds, what fails, and what a failure leaves untouched."""

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers.issuer import SCOPES
from peers.machine import Conversation, Machine
from peers.person import visit
from peers.provider import Provider


def test_a_person_signs_in_once_and_every_caller_gets_the_token(machine: Machine, provider: Provider) -> None:
    with machine.running("login", "work", *provider.options(), BROWSER=machine.browser()) as login:
        visit(machine.opened(), "ada")
        out, err = login.communicate(timeout=30)
    assert login.returncode == 0, err
    assert "ada@example.test" in out
    assert all(scope in out for scope in SCOPES)

    typed = machine.run("token", "work")
    assert typed.code == 0, typed.err
    token = typed.out.removesuffix("\n")
    assert machine.token("work").access_token.reveal() == token
    assert provider.active(token)
    assert provider.refreshes == 0


@pytest.mark.parametrize("client", ["native", "basic", "post"])
def test_each_way_of_authenticating_as_a_client_signs_in_and_refreshes(
    machine: Machine, provider: Provider, client: str
) -> None:
    machine.sign_in(visit, provider.login("work", client=client))
    before = machine.token("work")
    assert isinstance(machine.ask(requests.Refresh(account="work")), replies.Account)
    after = machine.token("work")
    assert after.generation > before.generation
    assert after.access_token != before.access_token
    assert provider.seen("granted", grant="refresh_token", client=client)


def test_a_wrong_client_secret_is_said_plainly_and_nothing_is_kept(machine: Machine, provider: Provider) -> None:
    asked = provider.login("work", client="basic")
    wrong = requests.ClientSettings(
        issuer=provider.issuer, client_id="basic", client_auth="basic", client_secret=Secret("not the secret")
    )
    failure = failed_sign_in(machine, requests.Login(account="work", settings=wrong, scopes=asked.scopes))
    assert failure.code == "misconfigured"
    assert "client" in failure.message
    assert machine.ask(requests.Accounts()) == replies.AccountList(accounts=())


def test_a_client_that_the_provider_does_not_know_gets_no_answer_and_leaves_nothing(
    machine: Machine, provider: Provider
) -> None:
    """RFC 6749 §4.1.2.1: the server must not redirect, so the person sees its error page and aixtiv hears nothing."""
    settings = requests.ClientSettings(issuer=provider.issuer, client_id="nobody")
    with machine.conversation() as talk:
        started = begin(talk, requests.Login(account="work", settings=settings, scopes=SCOPES))
        assert "invalid_client" in visit(started.url).text
    assert machine.ask(requests.Accounts()) == replies.AccountList(accounts=())


def test_a_scope_that_the_client_may_not_have_is_named(machine: Machine, provider: Provider) -> None:
    failure = failed_sign_in(machine, provider.login("work", scopes=(*SCOPES, "api:write")))
    assert failure.code == "sign_in_failed"
    assert "invalid_scope" in failure.message


def test_a_code_that_has_expired_signs_nobody_in_and_the_next_try_does(machine: Machine, provider: Provider) -> None:
    with machine.conversation() as talk:
        started = begin(talk, provider.login("work"))
        redirected = visit(started.url, stop_at=started.redirect_uri).url
        provider.tell(skip=61)
        pasted = machine.run("callback", stdin=f"{redirected}\n")
        assert pasted.code == 1
        assert "invalid_grant" in pasted.err
        assert isinstance(talk.hear(), replies.Failure)
    provider.tell(skip=-61)
    assert machine.sign_in(visit, provider.login("work")).state == "fresh"


def test_a_pasted_url_finishes_a_sign_in_whose_callback_the_browser_cannot_reach(
    machine: Machine, provider: Provider
) -> None:
    with machine.conversation() as talk:
        started = begin(talk, provider.login("work"))
        redirected = visit(started.url, stop_at=started.redirect_uri).url
        pasted = machine.run("callback", "--json", stdin=f"{redirected}\n")
        assert pasted.json()["name"] == "work"
        assert isinstance(talk.hear(), replies.SignedIn)
    assert provider.active(machine.token("work").access_token.reveal())


def test_two_callers_who_sign_in_at_once_share_one_sign_in(machine: Machine, provider: Provider) -> None:
    with machine.conversation() as first, machine.conversation() as second:
        started = begin(first, provider.login("work"))
        joined = begin(second, provider.login("work"))
        assert (started.joined, joined.joined) == (False, True)
        assert joined.url == started.url
        visit(started.url)
        assert [subject(first), subject(second)] == ["ada", "ada"]
    assert len(provider.seen("granted")) == 1


def test_two_accounts_sign_in_side_by_side_and_each_gets_its_own(machine: Machine, provider: Provider) -> None:
    with machine.conversation() as first, machine.conversation() as second:
        work = begin(first, provider.login("work"))
        home = begin(second, provider.login("home"))
        visit(home.url, "grace")
        visit(work.url, "ada")
        assert [subject(first), subject(second)] == ["ada", "grace"]
    assert machine.token("work").access_token != machine.token("home").access_token


def test_another_subject_is_refused_and_the_old_grant_goes_on_untouched(machine: Machine, provider: Provider) -> None:
    machine.sign_in(visit, provider.login("work"))
    before = machine.token("work")

    failure = failed_sign_in(machine, provider.login("work"), who="mallory")
    assert failure.code == "sign_in_failed"
    assert "--replace" in failure.hint

    assert machine.token("work") == before
    assert machine.account("work").subject == "ada"
    assert isinstance(machine.ask(requests.Refresh(account="work")), replies.Account)
    assert provider.reuses == 0


def test_another_subject_replaces_the_old_one_when_the_person_says_so(machine: Machine, provider: Provider) -> None:
    machine.sign_in(visit, provider.login("work"))
    with machine.running("login", "work", *provider.options(), "--replace", BROWSER=machine.browser()) as login:
        visit(machine.opened(), "grace")
        _, err = login.communicate(timeout=30)
    assert login.returncode == 0, err
    assert machine.account("work").subject == "grace"


def test_a_person_who_says_no_is_believed(machine: Machine, provider: Provider) -> None:
    with machine.running("login", "work", *provider.options(), BROWSER=machine.browser()) as login:
        page = visit(machine.opened(), refuse=True)
        _, err = login.communicate(timeout=30)
    assert login.returncode == 1
    assert "access_denied" in err
    assert "access_denied" in page.text


def test_a_sign_in_survives_the_daemon(machine: Machine, provider: Provider) -> None:
    machine.sign_in(visit, provider.login("work"))
    before = machine.token("work")
    assert machine.stop() == 0
    machine.start()
    assert machine.token("work") == before


def failed_sign_in(machine: Machine, asked: requests.Login, who: str = "ada") -> replies.Failure:
    with machine.conversation() as talk:
        started = begin(talk, asked)
        visit(started.url, who)
        failure = talk.hear()
    assert isinstance(failure, replies.Failure), failure
    return failure


def begin(talk: Conversation, asked: requests.Login) -> replies.SignInStarted:
    talk.say(asked)
    started = talk.hear()
    assert isinstance(started, replies.SignInStarted), started
    return started


def subject(talk: Conversation) -> str:
    signed_in = talk.hear()
    assert isinstance(signed_in, replies.SignedIn)
    return signed_in.account.subject
