"""After a lock no key and no token is left in any object of the daemon, whatever was under way."""

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

PASSPHRASE: Final = "an eager badger counts 17 clouds"
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
        machine.configure(f'[vault]\nkey = "passphrase"\n[api.anthropic]\norigin = "{claude.url}"')
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
