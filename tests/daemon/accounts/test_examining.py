"""What the daemon finds out about itself and its accounts, for the doctor."""

import time
from email.utils import formatdate

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.replies import Finding
from aixtiv_protocol.secret import Secret
from aixtivd.accounts import examining
from aixtivd.errors import KeyFailed, NoAccount
from aixtivd.oauth.outcomes import NeedsSignIn
from aixtivd.oauth.web import Answer
from peers.authorization import AuthorizationServer
from peers.clock import FakeClock
from peers.house import House, Opener
from peers.logins import ask, at_a_provider, sign_in


async def found(h: House, account: str = "") -> dict[str, Finding]:
    """By name: each test has one account."""
    examined = await h.accounts.examine(requests.Examine(account=account))
    return {finding.name: finding for finding in examined.findings}


async def test_where_all_is_well_every_finding_says_so(house: Opener) -> None:
    async with at_a_provider(house) as (h, server):
        await sign_in(h, ask(server))
        findings = await found(h)
        assert set(findings) == {"key-source", "issuer", "clock", "token"}
        assert [one for one in findings.values() if not one.ok] == []
        assert "the key source file answered" in findings["key-source"].sentence
        assert findings["issuer"].sentence == f"{server.issuer} says how to sign in there"
        assert findings["token"].sentence == "good for another 60 minutes"
        assert findings["token"].account == "corp"


async def test_an_issuer_that_is_gone_and_a_token_that_is_over_are_two_findings(
    house: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examining, "TOKEN", 0.5)  # less than the first backoff: the clock stands still
    async with house(FakeClock(time.time()), real=True) as h:
        async with AuthorizationServer() as server:
            await sign_in(h, ask(server))
        h.clock.sleep(4000)
        findings = await found(h, "corp")
        assert not findings["issuer"].ok
        assert "cannot be reached" in findings["issuer"].sentence
        assert not findings["token"].ok
        assert findings["token"].hint == "aixtiv refresh corp"


async def test_a_clock_that_differs_is_measured(house: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_a_provider(house) as (h, server):
        await sign_in(h, ask(server))
        monkeypatch.setattr(h.web, "_measure", lambda host, _: h.web.skews.update({host: -3600.0}))
        clock = (await found(h))["clock"]
        assert not clock.ok
        assert clock.sentence == "the clock of 127.0.0.1 is 3600 seconds behind this machine's"
        assert clock.hint


async def test_a_key_source_that_fails_or_is_slow_is_found(house: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as h:

        def gone(*_: object) -> None:
            raise KeyFailed("the key file is gone")

        monkeypatch.setattr(h.vault, "_unwrapped", gone)
        assert (await found(h))["key-source"].sentence == "the key file is gone"

        monkeypatch.setattr(h.vault, "_unwrapped", lambda *_: time.sleep(0.5))
        monkeypatch.setattr(examining, "KEY_SOURCE", 0.05)
        slow = (await found(h))["key-source"]
        assert (slow.ok, slow.sentence) == (False, "the key source file did not answer within a second")


async def test_a_quarantined_account_is_not_well_though_its_token_is_still_served(house: Opener) -> None:
    async with house() as h:
        await h.adopt("corp")
        h.script.answers = [NeedsSignIn(reason="invalid_grant")]
        h.clock.advance(3000)
        await h.settle()

        async def answers(*_: object, **__: object) -> Answer:
            return Answer(405, {"date": formatdate(usegmt=True)}, b"")

        h.web.send = answers  # type: ignore[method-assign]  # no such host
        findings = await found(h)
        assert findings["issuer"].ok
        assert not findings["token"].ok
        assert findings["token"].sentence.startswith("good for another 10 minutes, but corp: the provider has ended")
        assert findings["token"].hint == "aixtiv login corp"


async def test_an_api_key_is_what_it_is(house: Opener) -> None:
    async with house() as h:
        await h.accounts.api_key(requests.ApiKey(account="anthropic", key=Secret("sk-ant-api-x")))
        findings = await found(h)
        assert set(findings) == {"key-source", "token"}
        assert findings["token"].ok


async def test_a_locked_vault_is_a_finding_and_an_unknown_account_a_failure(house: Opener) -> None:
    async with house() as h:
        with pytest.raises(NoAccount):
            await found(h, "nobody")
        await h.accounts.lock()
        assert (await found(h))["token"].hint == "aixtiv unlock"
