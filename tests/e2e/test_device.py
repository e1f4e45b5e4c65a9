"""The device grant at the real oidc-provider, and typed into a real terminal."""

from collections.abc import Iterator

import msgspec
import pytest

from aixtiv_protocol import replies, requests
from peers.machine import Conversation, Machine
from peers.person import type_code, visit
from peers.provider import Provider, oidc_provider


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
