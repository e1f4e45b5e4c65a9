"""An identity of one place exchanged at another: at a server that checks what it is shown, with a real issuer."""

import json
import threading
import time
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import ClientCredentials, Command, Federation
from aixtiv_protocol.secret import Secret
from aixtivd.errors import (
    AixtivError,
    BadRequest,
    Misconfigured,
    NoAccount,
    NoProvider,
    Refused,
    SignInFailed,
    SignInNeeded,
    Unreachable,
)
from peers import person
from peers.authority import weather
from peers.authorization import AuthorizationServer, Settings
from peers.clock import FakeClock
from peers.house import Opener
from peers.logins import ask, login, sign_in, started
from peers.sourced import at, bind, by_rule, federated, printing


async def test_an_account_is_fed_by_the_sign_in_of_another(house: Opener) -> None:
    async with federated(house) as (h, claude, how):
        account = await bind(h, by_rule(identity_account="corp", workspace="wrkspc_1"), **at(how))
        assert (account.kind, account.state, account.provider) == ("federation", "fresh", "anthropic")
        assert claude.grants.active(await h.token("claude"))
        (heard,) = claude.requests
        assert heard.headers["anthropic-beta"] == "oauth-2025-04-20,oidc-federation-2026-04-01"
        assert set(json.loads(heard.body)) == {
            "grant_type",
            "assertion",
            "federation_rule_id",
            "organization_id",
            "workspace_id",
        }
        assert (await h.stored("claude")).refresh_token is None


async def test_it_is_asked_again_before_the_expiry_and_a_restart_needs_no_option(house: Opener) -> None:
    clock = FakeClock(time.time())
    async with AuthorizationServer() as issuer:
        claude = AuthorizationServer(Settings(claude=True, trusts=issuer.issuer, access_ttl=600))
        async with claude:
            async with house(clock, real=True) as h:
                await sign_in(h, ask(issuer))
                settings = {"token_endpoint": f"{claude.issuer}/token"}
                await bind(h, by_rule(identity_account="corp"), settings=settings)
                first = await h.token("claude")
            async with house(clock, real=True) as h:
                assert await h.token("claude") == first
                clock.advance(480)
                await claude.until(requests=2)
                while await h.token("claude") == first:
                    await anyio.lowlevel.checkpoint()
                assert await h.vault.journal.intents() == []
                await bind(h, None, provider="")  # once more, as before
                assert len(claude.requests) == 3


async def test_many_callers_cost_one_exchange(house: Opener) -> None:
    async with federated(house) as (h, claude, how):
        await bind(h, by_rule(identity_account="corp"), **at(how))
        h.clock.sleep(700)
        got: list[str] = []

        async def call() -> None:
            got.append(await h.token("claude"))

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(call)
        assert len(set(got)) == 1
        assert len(claude.requests) == 2


async def test_an_identity_about_to_expire_is_refreshed_first(house: Opener) -> None:
    async with federated(house, id_token_on_refresh=True, id_token_ttl=300) as (h, claude, how):
        await bind(h, by_rule(identity_account="corp"), **at(how))
        h.clock.sleep(270)  # the ID token has half a minute left, by our clock
        issuer: AuthorizationServer = how["issuer"]
        issuer.settings.id_token_ttl = 900
        await h.accounts.refresh(requests.Refresh(account="claude"))
        assert issuer.refreshes == 1
        assert len(claude.requests) == 2
        await h.accounts.refresh(requests.Refresh(account="claude"))
        assert issuer.refreshes == 1, "the new one is good for a while"


async def test_an_issuer_that_gives_no_identity_on_a_refresh_is_told_of_and_not_asked_for_ever(house: Opener) -> None:
    async with federated(house, id_token_ttl=300) as (h, _, how):
        await bind(h, by_rule(identity_account="corp"), **at(how))
        h.clock.sleep(700)
        issuer: AuthorizationServer = how["issuer"]
        for _ in range(3):
            with pytest.raises(SignInNeeded, match="its issuer gives no other on a refresh"):
                await h.accounts.refresh(requests.Refresh(account="claude"))
        assert issuer.refreshes == 1
        shown = h.state("claude")
        assert (shown.state, shown.hint) == ("failing", "aixtiv login corp")


async def test_when_the_identitys_person_has_signed_in_again_the_next_ask_works_at_once(house: Opener) -> None:
    async with federated(house) as (h, claude, how):
        issuer: AuthorizationServer = how["issuer"]
        await bind(h, by_rule(identity_account="corp"), **at(how))
        issuer.grants.end_all()
        h.clock.sleep(3700)
        with pytest.raises(SignInNeeded, match="the identity of corp") as raised:
            await h.token("claude", wait=0.5)
        assert raised.value.hint == "aixtiv login corp"
        issuer.settings.id_token_ttl = 8000  # both ours and the issuer's clock have to hold it for good
        await sign_in(h, ask(issuer))
        assert claude.grants.active(await h.token("claude", wait=0.5))


async def test_a_federation_fails_without_being_put_aside_and_is_tried_again(house: Opener) -> None:
    async with federated(house) as (h, claude, how):
        await bind(h, by_rule(identity_account="corp"), **at(how))
        for trouble in (weather.says("invalid_grant"), weather.unavailable(), weather.web_page()):
            claude.set_weather(trouble)
            with pytest.raises(AixtivError):
                await h.accounts.refresh(requests.Refresh(account="claude"))
            assert h.state("claude").state == "failing"
            assert await h.token("claude"), "what has not expired is served"
        assert (await h.stored("claude")).quarantined == ""
        assert (await h.accounts.refresh(requests.Refresh(account="claude"))).state == "fresh"


@pytest.mark.parametrize(
    ("error", "kind"),
    [("invalid_grant", Refused), ("unauthorized_client", Misconfigured), ("server_error", Unreachable)],
)
async def test_a_first_exchange_that_fails_binds_nothing(house: Opener, error: str, kind: type[AixtivError]) -> None:
    async with federated(house) as (h, claude, how):
        claude.set_weather(weather.says(error))
        with pytest.raises(kind) as raised:
            await bind(h, by_rule(identity_account="corp"), **at(how))
        assert "aixtiv login claude --provider anthropic" in raised.value.hint
        assert [account.name for account in h.accounts.states()] == ["corp"]


async def test_no_assertion_is_quoted_or_logged(house: Opener, capsys: pytest.CaptureFixture[str]) -> None:
    async with federated(house) as (h, claude, how):
        assertion = (await h.stored("corp")).id_token
        assert assertion
        claude.set_weather(weather.says("invalid_request", description=f"bad assertion {assertion.reveal()}"))
        with pytest.raises(Refused) as raised:
            await bind(h, by_rule(identity_account="corp"), **at(how))
        assert assertion.reveal() not in raised.value.sentence + capsys.readouterr().err


async def test_an_identity_from_a_file_is_read_anew_each_time(house: Opener, folder: Path) -> None:
    async with federated(house) as (h, _, how):
        token = (await h.stored("corp")).id_token
        assert token
        file = folder / "identity"
        file.write_text("not.a token")
        source = by_rule(identity_file=str(file))
        with pytest.raises(Misconfigured, match="holds no identity token"):
            await bind(h, source, **at(how))
        file.write_text(f"{token.reveal()}\n")
        await bind(h, source, **at(how))
        file.chmod(0o666)
        with pytest.raises(Misconfigured, match="can be written by others"):
            await h.accounts.refresh(requests.Refresh(account="claude"))
        file.unlink()
        with pytest.raises(Unreachable, match="cannot be read: no such file"):
            await h.accounts.refresh(requests.Refresh(account="claude"))
        file.write_text("x" * 20_000)
        with pytest.raises(Misconfigured, match="holds no identity token"):
            await h.accounts.refresh(requests.Refresh(account="claude"))
        file.unlink()
        file.mkdir()
        with pytest.raises(Misconfigured, match="is no regular file"):
            await h.accounts.refresh(requests.Refresh(account="claude"))


async def test_an_identity_from_a_command(house: Opener, folder: Path) -> None:
    async with federated(house) as (h, _, how):
        token = (await h.stored("corp")).id_token
        assert token
        command = printing(folder, f"echo {token.reveal()}")
        account = await bind(h, by_rule(identity_command=command), **at(how))
        assert account.state == "fresh"
        printing(folder, "echo hunter2")
        with pytest.raises(Misconfigured, match="prints no identity token") as raised:
            await h.accounts.refresh(requests.Refresh(account="claude"))
        assert "hunter2" not in raised.value.sentence + raised.value.hint


async def test_a_standard_server_is_asked_as_rfc_7523_has_it(house: Opener, folder: Path) -> None:
    async with (
        AuthorizationServer() as issuer,
        AuthorizationServer(Settings(trusts=issuer.issuer)) as server,
        house(FakeClock(time.time()), real=True) as h,
    ):
        await sign_in(h, ask(issuer))
        account = await bind(
            h,
            Federation(identity_account="corp"),
            "other",
            "other",
            settings={"issuer": server.issuer, "client_id": "native"},
            scopes=("api:read",),
        )
        assert (account.kind, account.scopes) == ("federation", ("api:read",))
        (heard,) = server.requests
        assert heard.content_type == "application/x-www-form-urlencoded"
        assert "scope=api%3Aread" in heard.body
        assert "client_id=native" in heard.body
        token = await h.token("other")
        assert (await h.accounts.logout(requests.Logout(account="other"))).revoked
        assert not server.grants.active(token)


async def test_what_is_missing_or_wrong_is_said_before_anything_is_asked(house: Opener, folder: Path) -> None:
    async with federated(house) as (h, claude, how):
        for source, kind, words in (
            (Federation(rule="r", identity_account="corp"), NoProvider, "wants the organization"),
            (Federation(identity_account="corp"), NoProvider, "wants the rule and the organization"),
            (by_rule(), BadRequest, "comes from one of"),
            (by_rule(identity_account="corp", identity_file="/x"), BadRequest, "comes from one of"),
            (by_rule(identity_file="x"), BadRequest, "expected an absolute path"),
            (by_rule(identity_command=("cat",)), BadRequest, "expected an absolute path"),
            (by_rule(identity_account="claude"), BadRequest, "from claude and"),
            (by_rule(identity_account="nobody"), NoAccount, "there is no account nobody"),
            (Command(command=()), BadRequest, "expected an absolute path"),
        ):
            with pytest.raises(kind, match=words.replace("from claude and", "would come from claude")):
                await bind(h, source, **at(how))
        assert claude.requests == []


async def test_a_circle_of_identities_is_refused(house: Opener) -> None:
    async with federated(house) as (h, _, how):
        await bind(h, by_rule(identity_account="corp"), "one", **at(how))
        with pytest.raises(BadRequest, match="of corp would come from one would come from corp"):
            await bind(h, by_rule(identity_account="one"), "corp", **at(how), replace=True)


async def test_an_account_without_an_id_token_gives_no_identity(house: Opener) -> None:
    async with federated(house) as (h, _, how):
        await bind(h, by_rule(identity_account="corp"), "one", **at(how))
        await h.adopt("plain")
        await h.accounts.api_key(requests.ApiKey(account="static", key=Secret("k")))
        for name, sentence, hint in (
            ("plain", "plain has no ID token", "aixtiv login plain --scope 'openid read'"),
            ("one", "has its tokens from a federation source", "aixtiv login NAME --issuer URL --client-id ID"),
            ("static", "static, which is an API key", "aixtiv login NAME --issuer URL --client-id ID"),
        ):
            with pytest.raises(Misconfigured, match=sentence) as raised:
                await bind(h, by_rule(identity_account=name), "two", **at(how))
            assert raised.value.hint == hint


async def test_another_kind_takes_an_accounts_place_only_when_told(house: Opener) -> None:
    async with federated(house) as (h, _, how):
        issuer: AuthorizationServer = how["issuer"]
        token = await h.token("corp")
        settings = {"issuer": issuer.issuer, "client_id": "basic", "client_secret": Secret(issuer.secret)}
        with pytest.raises(SignInFailed, match="of the kind oauth, and this would be client-credentials") as raised:
            await bind(h, ClientCredentials(), "corp", "corp", settings=settings)
        assert raised.value.hint.endswith("--client-credentials --replace")
        assert await h.token("corp") == token


async def test_lock_does_not_wait_for_a_file_system_that_hangs(
    house: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with federated(house) as (h, _, how):
        token = (await h.stored("corp")).id_token
        assert token
        path = folder / "identity"
        path.write_text(token.reveal())
        path.chmod(0o600)
        await bind(h, by_rule(identity_file=str(path)), **at(how))
        hung = threading.Event()
        try:
            monkeypatch.setattr("aixtivd.accounts.identities._in_file", lambda _: hung.wait(20) and token)
            h.accounts._refresher.force(h.accounts._book.named("claude"))
            while not h.accounts._book.named("claude").flying:
                await anyio.lowlevel.checkpoint()
            await h.settle()
            with anyio.fail_after(5):
                await h.accounts.lock()
        finally:
            hung.set()


async def test_whoever_signs_in_to_the_identitys_account_does_not_become_somebody_else_here(house: Opener) -> None:
    async with federated(house) as (h, claude, how):
        await bind(h, by_rule(identity_account="corp"), **at(how))
        token = await h.token("claude")
        issuer: AuthorizationServer = how["issuer"]
        asked = requests.Login(account="corp", settings=ask(issuer).settings, replace=True)
        async with login(h, asked) as stream:
            await anyio.to_thread.run_sync(person.sign_in, (await started(stream)).url, "grace")
            signed_in = await anext(stream)
        assert isinstance(signed_in, replies.SignedIn)
        assert signed_in.note == "claude stands for who was signed in before, until: aixtiv login claude --replace"
        with pytest.raises(SignInNeeded, match="corp is signed in as somebody else now") as raised:
            await h.accounts.refresh(requests.Refresh(account="claude"))
        assert raised.value.hint == "aixtiv login claude --replace"
        assert len(claude.requests) == 1, "her identity was shown nowhere"
        assert await h.token("claude") == token, "what was given to ada's account is hers until it ends"
        with pytest.raises(SignInFailed, match=r"stands for ada at .*, and its identity is that of grace") as refused:
            await bind(h, None, provider="")
        assert "--replace" in refused.value.hint
        await bind(h, None, provider="", replace=True)
        assert (await h.stored("claude")).identity == (issuer.issuer, "grace")
        await h.accounts.refresh(requests.Refresh(account="claude"))
        assert len(claude.requests) == 3


async def test_an_identity_from_another_issuer_is_another_identity_whatever_subject_it_gives(house: Opener) -> None:
    async with federated(house) as (h, claude, how), AuthorizationServer() as evil:
        await bind(h, by_rule(identity_account="corp"), **at(how))
        await sign_in(h, ask(evil, replace=True), "ada")
        with pytest.raises(SignInNeeded, match="corp is signed in as somebody else now"):
            await h.accounts.refresh(requests.Refresh(account="claude"))
        assert len(claude.requests) == 1


async def test_the_same_person_signed_in_again_feeds_on(house: Opener) -> None:
    async with federated(house) as (h, claude, how):
        await bind(h, by_rule(identity_account="corp"), **at(how))
        await sign_in(h, ask(how["issuer"]))
        await h.accounts.refresh(requests.Refresh(account="claude"))
        assert len(claude.requests) == 2


async def test_an_account_of_before_that_bound_nobody_is_bound_by_its_next_sign_in(house: Opener) -> None:
    async with federated(house) as (h, _, how):
        await bind(h, by_rule(identity_account="corp"), **at(how))
        entry = h.accounts._book.named("claude")
        entry.grant = msgspec.structs.replace(entry.grant, identity=("", ""))
        await h.accounts.refresh(requests.Refresh(account="claude"))
        await bind(h, None, provider="")
        assert (await h.stored("claude")).identity == (how["issuer"].issuer, "ada")
