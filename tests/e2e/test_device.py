"""The device grant at the real oidc-provider, and typed into a real terminal."""

import re
from collections.abc import Iterator

import msgspec
import pytest

from aixtiv_protocol import replies, requests
from peers.authority.process import Running, authorization_server
from peers.machine import SCRIPTS, Conversation, Machine
from peers.person import type_code, visit
from peers.provider import Provider, oidc_provider
from peers.terminal import Terminal


@pytest.fixture
def devices() -> Iterator[Provider]:
    with oidc_provider(device=True) as provider:
        yield provider
        assert not provider.seen("defect")


def begin(talk: Conversation, asked: requests.Login) -> replies.SignInStarted:
    talk.say(asked)
    started = talk.hear()
    assert isinstance(started, replies.SignInStarted), started
    return started


def test_a_code_typed_on_another_machine_signs_in_and_refreshes(machine: Machine, devices: Provider) -> None:
    with machine.conversation() as talk:
        asked = msgspec.structs.replace(devices.login("work"), device="wanted")
        started = begin(talk, asked)
        assert started.verification_uri == f"{devices.issuer}/device"
        assert started.user_code in started.verification_uri_complete
        assert "denied" not in type_code(started.verification_uri, started.user_code, "grace")
        signed_in = talk.hear()
    assert isinstance(signed_in, replies.SignedIn), signed_in
    assert signed_in.account.subject == "grace"
    assert devices.active(machine.token("work").access_token.reveal())
    assert isinstance(machine.ask(requests.Refresh(account="work")), replies.Account)
    assert devices.reuses == 0


def test_the_browser_is_first_and_the_code_is_good_for_nothing_any_more(machine: Machine, devices: Provider) -> None:
    with machine.conversation() as talk:
        started = begin(talk, msgspec.structs.replace(devices.login("work"), device="offered"))
        visit(started.url)
        assert isinstance(talk.hear(), replies.SignedIn)
    assert machine.account("work").subject == "ada"
    assert not devices.seen("granted", grant="urn:ietf:params:oauth:grant-type:device_code")


def test_a_person_who_refuses_the_code_is_believed(machine: Machine, devices: Provider) -> None:
    with machine.conversation() as talk:
        started = begin(talk, msgspec.structs.replace(devices.login("work"), device="wanted"))
        type_code(started.verification_uri_complete, refuse=True)
        failure = talk.hear()
    assert isinstance(failure, replies.Failure), failure
    assert failure.code == "sign_in_failed"
    assert "access_denied" in failure.message
    assert "--device" in failure.hint


def test_a_server_without_the_grant_is_told_apart_before_anybody_waits(machine: Machine, provider: Provider) -> None:
    offered = msgspec.structs.replace(provider.login("work"), device="offered")
    with machine.conversation() as talk:
        started = begin(talk, offered)
    assert (started.verification_uri, started.device_problem) == ("", "")
    failure = machine.ask(msgspec.structs.replace(provider.login("home"), device="wanted"))
    assert isinstance(failure, replies.Failure), failure
    assert failure.code == "no_provider"
    assert "RFC 8628" in failure.message
    assert failure.hint.endswith("--no-device")


@pytest.fixture
def server() -> Iterator[Running]:
    with authorization_server("--device", "--device-interval", "1") as server:
        yield server


def terminal(machine: Machine, *words: str, **environ: str) -> Terminal:
    return Terminal([str(SCRIPTS / "aixtiv"), *words], machine.environ | environ, machine.home)


def code_of(shown: str) -> str:
    found = re.search(r"^[A-Z]{4}-[A-Z]{4}$", shown, re.MULTILINE)
    assert found, shown
    return found[0]


def test_over_ssh_a_person_types_the_code_elsewhere_and_the_terminal_notices(machine: Machine, server: Running) -> None:
    over_ssh = {"SSH_CONNECTION": "198.51.100.7 50000 203.0.113.9 22", "USER": "ada"}
    with terminal(machine, "login", "work", *server.options(), **over_ssh) as person:
        shown = person.until("--no-device")
        assert "this is a session over SSH (SSH_CONNECTION is set)" in shown
        assert "█" in shown
        assert max(len(line) for line in plain(shown).splitlines()) <= 80
        assert "go back to your device" in type_code(f"{server.issuer}/device", code_of(plain(shown)).lower())
        assert "until" in person.until("left)")
        assert person.ended() == 0
    assert server.active(machine.token("work").access_token.reveal(), "native")
    assert not [secret for secret in server.issued if secret in machine.log or secret in shown]


def test_who_does_not_wait_needs_nothing_but_the_code(machine: Machine, server: Running) -> None:
    told = machine.run("login", "work", *server.options(), "-n", "--json").json()
    machine.ask(requests.Hello())
    with machine.conversation() as talk:
        talk.say(requests.Watch())
        machine.ask(requests.Hello())
        type_code(told["verification_uri_complete"])
        assert talk.hear_until("signed-in").account == "work"
    assert machine.account("work").subject == "ada"


def test_ctrl_c_leaves_the_code_good(machine: Machine, server: Running) -> None:
    with terminal(machine, "login", "work", *server.options(), SSH_TTY="/dev/pts/0") as person:
        code = code_of(plain(person.until("--no-device")))
        person.type("\x03")
        assert person.until("finishes it").count(code) == 1
        assert person.ended() == 130
    with terminal(machine, "login", "work", SSH_TTY="/dev/pts/0") as person:
        assert code_of(plain(person.until("--no-device"))) == code
        type_code(f"{server.issuer}/device", code)
        person.until("signed in to work as ada@example.test")


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)
