"""The library: what it asks, what it makes of the answers, and of a daemon that gives none."""

import typing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

import aixtiv
from aixtiv import failures
from aixtiv.client import Client
from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret
from peers.scripted import Said, Script, ScriptedDaemon

ACCOUNT = replies.Account(name="github", provider="github", kind="oauth", state="fresh", default=True)
STATUS = replies.DaemonStatus(version=VERSION, pid=1, started_at=1, locked=False)
TOKEN = replies.AccessToken(account="github", access_token=Secret("made-up"), expires_at=9)
STARTED = replies.SignInStarted(account="github", url="https://x/", redirect_uri="http://127.0.0.1:1/callback", port=1)
DONE = replies.Done()


ANSWERS: dict[type[requests.Request], tuple[Said, ...]] = {
    requests.Token: (TOKEN,),
    requests.Accounts: (replies.AccountList(accounts=(ACCOUNT,)),),
    requests.Status: (STATUS,),
    requests.Login: (STARTED, replies.SignedIn(account=ACCOUNT), replies.End()),
    requests.Callback: (replies.SignedIn(account=ACCOUNT),),
    requests.Refresh: (ACCOUNT,),
    requests.Logout: (replies.LoggedOut(account="github", revoked=True),),
    requests.Verify: (replies.Verified(account=ACCOUNT, active=True),),
    requests.Watch: (replies.Event(event="refreshed", at=1.0, account="github"),),
    requests.Hello: (replies.Welcome(version=VERSION, protocol=1, ops=()),),
}


def answers(request: requests.Request) -> Iterable[Said]:
    if isinstance(request, requests.ApiKey):
        return (ACCOUNT if request.key else replies.LoggedOut(account="claude"),)
    return ANSWERS.get(type(request), (DONE,))


@contextmanager
def talking(folder: Path, script: Script = answers) -> Iterator[tuple[Client, ScriptedDaemon]]:
    with ScriptedDaemon(folder, script) as daemon, Client(str(daemon.path)) as client:
        yield client, daemon


def failing(**failure: typing.Any) -> Script:
    def script(request: requests.Request) -> Iterable[Said]:
        yield replies.Failure(**({"message": "no"} | failure))

    return script


def account(number: int) -> replies.Account:
    return replies.Account(name=f"team/{number:03}", provider="p", kind="oauth", state="fresh")


def in_pages(request: requests.Request) -> Iterable[Said]:
    """A daemon with 25 accounts, ten to an answer; a status has room for three."""
    everyone = [account(number) for number in range(25)]
    match request:
        case requests.Accounts():
            rest = [each for each in everyone if each.name > request.after]
            yield replies.AccountList(accounts=tuple(rest[:10]), more=len(rest) > 10)
        case _:
            yield replace(STATUS, accounts=tuple(everyone[:3]), more=True)


def test_accounts_and_status_have_all_the_accounts_in_as_many_answers_as_it_takes(folder: Path) -> None:
    everyone = tuple(account(number) for number in range(25))
    with talking(folder, in_pages) as (client, daemon):
        assert client.accounts() == everyone
        assert client.status() == replace(STATUS, accounts=everyone)
        asked = [request.after for request in daemon.asked if isinstance(request, requests.Accounts)]
        assert asked == ["", "team/009", "team/019", "team/002", "team/012", "team/022"]


def test_every_method_asks_its_request_and_gives_its_answer(folder: Path) -> None:
    with talking(folder) as (client, daemon):
        assert client.token("github", min_ttl=60, wait=5, scopes=("a",)) == TOKEN
        assert client.accounts() == (ACCOUNT,)
        assert client.status() == STATUS
        assert client.hello().version == VERSION
        assert list(client.login("github", provider="p", scopes=("a",), port=3000, replace=True)) == [
            STARTED,
            replies.SignedIn(account=ACCOUNT),
        ]
        assert client.callback("code#state", "github") == ACCOUNT
        assert client.refresh("github", wait=2) == ACCOUNT
        assert client.logout("github").revoked
        assert client.verify("github", wait=2).active
        assert client.set_api_key("claude", "made-up-key") == ACCOUNT
        assert client.remove_api_key("claude") == replies.LoggedOut(account="claude")
        with client.watch() as events:
            assert next(events).event == "refreshed"
        assert [client.lock(), client.unlock("words"), client.unlock(), client.reload(), client.stop()] == [DONE] * 5
    assert daemon.asked == [
        requests.Token(account="github", min_ttl=60, wait=5, scopes=("a",)),
        requests.Accounts(),
        requests.Status(),
        requests.Hello(client=VERSION),
        requests.Login(account="github", provider="p", scopes=("a",), port=3000, replace=True),
        requests.Callback(pasted=Secret("code#state"), account="github"),
        requests.Refresh(account="github", wait=2),
        requests.Logout(account="github"),
        requests.Verify(account="github", wait=2),
        requests.ApiKey(account="claude", key=Secret("made-up-key")),
        requests.ApiKey(account="claude"),
        requests.Watch(),
        requests.Lock(),
        requests.Unlock(passphrase=Secret("words")),
        requests.Unlock(),
        requests.Reload(),
        requests.Stop(),
    ]


def test_a_key_that_is_removed_beside_a_sign_in_leaves_the_account(folder: Path) -> None:
    with talking(folder, lambda request: (ACCOUNT,)) as (client, _):
        assert client.remove_api_key("github") == ACCOUNT


def test_it_has_a_method_for_every_request() -> None:
    """A new request without a method here is noticed by nobody else."""
    asked = {kind.__struct_config__.tag for kind in typing.get_args(requests.Request)}
    methods = {name for name in vars(Client) if not name.startswith("_")}
    assert asked <= {name.replace("_", "-") for name in methods} | {"api-key", "ticket-revoke", "piece"}
    assert {"set_api_key", "remove_api_key", "revoke_ticket", "relay"} <= methods  # `relay` sends the pieces


def test_questions_share_one_conversation_and_a_stream_has_its_own(folder: Path) -> None:
    with talking(folder) as (client, daemon):
        client.accounts()
        client.accounts()
        with client.watch() as events:
            next(events)
            client.accounts()
        assert daemon.callers == 2


def test_the_agent_travels_with_every_request(folder: Path) -> None:
    with ScriptedDaemon(folder, answers) as daemon, Client(str(daemon.path), agent="builder-7") as client:
        client.accounts()
        client.token()
        with client.watch() as events:
            next(events)
    assert [request.agent for request in daemon.asked] == ["builder-7"] * 3


def test_every_code_on_the_wire_has_a_class_and_an_exit_status() -> None:
    codes = set(typing.get_args(replies.Code))
    assert set(failures._CLASSES) == codes
    assert {code: kind.exit_status for code, kind in failures._CLASSES.items() if kind.exit_status != 1} == {
        "sign_in_needed": 3,
        "scope_missing": 3,
        "unreachable": 4,
        "timeout": 4,
        "locked": 6,
        "key_failed": 6,
    }


def test_a_failure_keeps_all_that_the_daemon_said(folder: Path) -> None:
    script = failing(
        code="unreachable", message="github cannot be reached", hint="aixtiv status", retry=True, retry_after=7
    )
    with talking(folder, script) as (client, _), pytest.raises(aixtiv.Unreachable) as caught:
        client.token()
    told = caught.value
    assert (told.code, told.sentence, told.hint) == ("unreachable", "github cannot be reached", "aixtiv status")
    assert (told.retry, told.retry_after, str(told)) == (True, 7, "github cannot be reached")


def test_a_code_from_a_newer_daemon_is_a_plain_failure_that_keeps_its_name(folder: Path) -> None:
    with talking(folder, failing(code="moon_phase")) as (client, _), pytest.raises(aixtiv.AixtivError) as caught:
        client.token()
    assert (caught.value.code, caught.value.exit_status) == ("moon_phase", 1)


def test_a_failure_in_a_stream_is_raised_where_it_comes(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        yield STARTED
        yield replies.Failure(code="sign_in_failed", message="the person said no")

    with talking(folder, script) as (client, _), client.login("github") as stream:
        assert next(stream) == STARTED
        with pytest.raises(failures.SignInFailed, match="the person said no"):
            next(stream)


def test_a_stream_skips_what_only_a_newer_client_knows(folder: Path) -> None:
    news = b"\x83\xa2re\xa8eclipsed\xa2at\x01\xa4full\xc3"

    def script(request: requests.Request) -> Iterable[Said]:
        yield len(news).to_bytes(4, "big") + news
        yield replies.Event(event="woke", at=1.0)
        yield replies.End()

    with talking(folder, script) as (client, _), client.watch() as events:
        assert [event.event for event in events] == ["woke"]


def test_a_conversation_that_the_daemon_ended_meanwhile_is_begun_again(folder: Path) -> None:
    with talking(folder) as (client, daemon):
        client.accounts()
        daemon.hang_up()
        assert client.accounts() == (ACCOUNT,)
        assert daemon.callers == 2


def test_an_answer_that_comes_too_late_is_never_taken_for_the_next_one(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        return () if isinstance(request, requests.Refresh) else answers(request)

    with talking(folder, script) as (client, daemon):
        with pytest.raises(failures.NoAnswer):
            client._ask(requests.Refresh(), replies.Account, seconds=0.05)
        assert client.status() == STATUS
        assert daemon.callers == 2


def test_nobody_listening_is_said_in_a_sentence_that_names_what_starts_the_daemon(folder: Path) -> None:
    with pytest.raises(aixtiv.NoDaemon, match="the daemon is not running") as caught:
        Client(str(folder / "aixtiv.sock")).status()
    assert (caught.value.exit_status, caught.value.hint) == (2, "aixtiv service start")


def test_a_stale_socket_is_nobody_listening(folder: Path) -> None:
    with ScriptedDaemon(folder, answers) as daemon:
        stale = daemon.path.rename(folder / "aixtiv.sock")
    with pytest.raises(failures.NotRunning):
        Client(str(stale)).status()


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x01\x07"])
def test_an_answer_that_is_no_message_is_a_sentence(folder: Path, said: bytes) -> None:
    with talking(folder, lambda request: (said,)) as (client, _), pytest.raises(failures.NotUnderstood):
        client.status()


def test_an_answer_of_another_kind_is_a_sentence(folder: Path) -> None:
    with talking(folder, lambda request: (DONE,)) as (client, _), pytest.raises(failures.NotUnderstood):
        client.status()


def test_half_an_answer_is_no_answer(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        yield b"\x00\x00"
        raise EOFError

    with talking(folder, script) as (client, _), pytest.raises(failures.NoDaemon, match="before it answered"):
        client.status()


def test_an_older_daemon_is_named_with_its_version(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        if isinstance(request, requests.Hello):
            yield replies.Welcome(version="0.0.3", protocol=1, ops=("hello",))
        else:
            yield replies.Failure(code="bad_request", message="aixtivd 0.0.3 does not know that request")

    with talking(folder, script) as (client, _), pytest.raises(failures.NotUnderstood) as caught:
        client.verify()
    assert str(caught.value) == f"daemon 0.0.3 does not understand `verify` of this command, which is {VERSION}"
    assert caught.value.hint == "aixtiv stop"


def test_a_refused_request_of_the_same_version_is_told_as_it_is(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        if isinstance(request, requests.Hello):
            return answers(request)
        return (replies.Failure(code="bad_request", message="the field account is missing"),)

    with talking(folder, script) as (client, _), pytest.raises(failures.NotUnderstood, match="the field account"):
        client.verify()


def test_text_that_is_no_text_never_leaves(folder: Path) -> None:
    with talking(folder) as (client, daemon), pytest.raises(aixtiv.AixtivError, match="not UTF-8"):
        client.token("\udcff")
    assert daemon.asked == []


def test_the_package_gives_its_names_only_when_asked() -> None:
    assert aixtiv.Client is Client
    assert aixtiv.Locked is failures.Locked
    assert aixtiv.ClientSettings is requests.ClientSettings
    assert aixtiv.Secret is Secret
    assert aixtiv.__version__ == VERSION
    assert all(getattr(aixtiv, name) for name in aixtiv.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        aixtiv.nonsense  # noqa: B018  # asking is the test
