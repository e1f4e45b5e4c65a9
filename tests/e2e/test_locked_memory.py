"""After a lock no key and no token is left in any object of the daemon, whatever was under way."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd.vault import keys, sealing, store
from aixtivd.vault.keys.occasion import Occasion
from peers.authority.process import authorization_server
from peers.claude_api.process import claude_process
from peers.claude_api.weather import Weather
from peers.desk import ACCOUNT, KEY, Desk, desk
from peers.inspected import InspectedMachine, Reached
from peers.leaks import leaks
from peers.machine import PATIENCE
from peers.person import visit

PASSPHRASE: Final = "an eager badger counts 17 clouds"
CONFIG: Final = '[vault]\nkey = "passphrase"\n[api.anthropic]\norigin = "{url}"\n'
STREAM: Final = (
    b'{"model":"claude-sonnet-4-6","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hello"}]}'
)


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    with (
        authorization_server("--claude") as server,
        claude_process("--accept-prefix", "at-") as claude,
        InspectedMachine(folder) as machine,
    ):
        machine.configure(CONFIG.format(url=claude.url))
        machine.start()
        at = Desk(machine, server, claude)
        assert isinstance(machine.ask(requests.Unlock(passphrase=Secret(PASSPHRASE))), replies.Done)
        at.sign_in()
        machine.ask(requests.ApiKey(account=ACCOUNT, key=Secret(KEY)))
        yield at


def reached(at: Desk) -> Reached:
    assert isinstance(at.machine, InspectedMachine)
    return at.machine.reached()


def data_key(at: Desk) -> bytes:
    """Of the closed store."""
    meta = store.examine(at.machine.state / "store.db")
    source = keys.from_record(meta.source)
    material = source.load(Occasion(at.machine.state, meta.store, Secret(PASSPHRASE)))
    key = sealing.derive(material, meta.store, source.name)
    return sealing.unwrap(key, meta.wrapped, meta.store, meta.source)


def curling(at: Desk) -> list[str]:
    words = ["curl", "-sS", "-N", "--unix-socket", at.gateway, "http://localhost/v1/messages"]
    return [
        *words,
        "-H",
        "anthropic-version: 2023-06-01",
        "-H",
        "content-type: application/json",
        "-d",
        STREAM.decode(),
    ]


@contextmanager
def calls_under_way(at: Desk) -> Iterator[list[str]]:
    """One on the socket and one at the gateway, each in the middle of a stream; how the latter ended."""
    at.claude.set_weather(*[Weather(deltas=30, silence=5)] * 2)
    curl = subprocess.Popen(curling(at), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ended: list[str] = []

    def relay() -> None:
        with at.machine.conversation() as talk:
            asked = requests.Relay(
                method="POST",
                path="/v1/messages",
                headers=(("anthropic-version", "2023-06-01"), ("content-type", "application/json")),
                body=STREAM,
            )
            talk.say(asked)
            while not isinstance(item := talk.hear(), replies.Failure):
                pass
            ended.append(item.message)

    caller = threading.Thread(target=relay)
    caller.start()
    at.claude.until(silent=2)
    try:
        yield ended
    finally:
        caller.join()
        assert "outstanding read data" in curl.communicate()[1]
        assert curl.returncode == 18  # the answer broke off


def test_after_a_lock_no_key_and_no_token_is_in_any_object_whatever_was_under_way(at: Desk) -> None:
    at.machine.ask(requests.Refresh(account=ACCOUNT))
    exported = Secret("a backup's own passphrase, long")
    with at.machine.conversation() as talk:  # ends nothing: what was asked for on it is over
        talk.say(requests.Export(new_passphrase=exported, passphrase=Secret(PASSPHRASE)))
        while not isinstance(talk.hear(), replies.End):
            pass
        talk.say(requests.Token(account=ACCOUNT))
        assert isinstance(talk.hear(), replies.AccessToken)
        with calls_under_way(at) as ended:
            before = reached(at)
            assert at.machine.ask(requests.Lock()) == replies.Done(note="locked")
            after = reached(at)
        assert ended == ["the vault was locked meanwhile"]

        secrets = at.server.issued | {KEY, PASSPHRASE, exported.reveal()}
        assert len(secrets) >= 6
        assert leaks({at.server.newest}, {"before": before.contents}) == ["before"], "the look itself finds nothing"
        assert "aixtivd.accounts.grant.Grant" in before.kinds
        found = [secret for secret in secrets if leaks({secret}, {"": after.contents})]
        assert found == []
        assert data_key(at) not in after.contents
        kept = {
            kind for kind in after.kinds if kind.endswith((".Grant", "book.Entry", ".Sealer", ".AESGCM", ".DataKey"))
        }
        assert kept == set()

    at.machine.ask(requests.Unlock(passphrase=Secret(PASSPHRASE)))
    assert at.machine.token(ACCOUNT).access_token.reveal() == at.server.newest


@contextmanager
def silent() -> Iterator[tuple[socket.socket, str]]:
    """A server that takes a call and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        yield listening, f"http://127.0.0.1:{listening.getsockname()[1]}/"


@contextmanager
def asked(at: Desk, request: requests.Request) -> Iterator[list[object]]:
    """On its way, and its caller waits; with the answer when the block is over."""
    heard: list[object] = []
    with at.machine.conversation() as talk:
        talk.say(request)
        yield heard
        heard.append(talk.hear())


def test_what_the_lock_cuts_off_leaves_nothing_behind(at: Desk) -> None:
    """While the daemon idles afterwards, and nothing is collected any more."""
    own, exported = Secret("sk-ant-api03-of-the-caller-774411"), Secret("a backup's own passphrase, long")
    at.claude.set_weather(Weather(hang=True))
    version = (("anthropic-version", "2023-06-01"),)
    relayed = requests.Relay(path="/v1/models", account=ACCOUNT, api_key=own, headers=version)
    with authorization_server() as corp, silent() as (listening, url), asked(at, relayed) as told:
        at.claude.until(silent=1)
        provider = f"""
            [provider.corp]
            client-id = "native"
            authorization-endpoint = "{corp.issuer}/authorize"
            token-endpoint = "{corp.issuer}/token"
            introspection-endpoint = "{url}"
        """
        at.machine.configure(CONFIG.format(url=at.claude.url) + provider)
        assert isinstance(at.machine.ask(requests.Reload()), replies.Done)
        at.machine.sign_in(visit, requests.Login(account="corp"))
        with (
            asked(at, requests.Verify(account="corp", wait=60)) as verified,
            asked(at, requests.Restore(passphrase=exported, more=True)) as restored,
            asked(at, requests.Export(new_passphrase=exported, passphrase=Secret(PASSPHRASE))) as sealed,
        ):
            asking, _ = listening.accept()
            at.machine.ask(requests.Hello())  # who came before is at it by then
            assert at.machine.ask(requests.Lock()) == replies.Done(note="locked")
            after = reached(at)
            asking.close()
        secrets = corp.issued | at.server.issued | {own.reveal(), exported.reveal(), PASSPHRASE, KEY}
    assert [secret for secret in secrets if leaks({secret}, {"": after.contents})] == []
    for heard in (told, verified, restored, sealed):
        assert isinstance(heard[0], replies.Failure), heard
        assert heard[0].code == "locked"


def test_a_wrong_passphrase_is_forgotten_although_the_vault_stays_locked(at: Desk) -> None:
    wrong = "a weary badger counts 18 clouds"
    at.machine.ask(requests.Lock())
    answer = at.machine.ask(requests.Unlock(passphrase=Secret(wrong)))
    assert isinstance(answer, replies.Failure)
    assert answer.code == "key_failed"
    assert leaks({wrong}, {"": reached(at).contents}) == []


def test_a_call_over_http_whose_answer_has_not_begun_is_ended_with_the_sentence(folder: Path) -> None:
    with desk(folder) as at:
        at.sign_in()
        at.claude.set_weather(Weather(hang=True))
        curl = subprocess.Popen([*curling(at), "-w", " %{http_code}"], stdout=subprocess.PIPE, text=True)
        at.claude.until(silent=1)
        assert at.machine.ask(requests.Lock()) == replies.Done(note="locked")
        said = curl.communicate()[0]
        assert "the vault was locked meanwhile; run: aixtiv unlock" in said
        assert said.endswith(" 403")
