"""The callable that Claude's Python SDK takes, against its protocol; the SDKs themselves meet it in tests/e2e."""

import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from aixtiv.integrations.anthropic import credentials
from aixtiv_protocol.replies import AccessToken, Account, Failure
from aixtiv_protocol.requests import Refresh, Request, Token
from aixtiv_protocol.secret import Secret
from peers.scripted import Said, ScriptedDaemon


@dataclass(frozen=True)
class SdksToken:
    token: str
    expires_at: int | None = None


class SdksError(Exception):
    pass


@pytest.fixture(autouse=True)
def sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two names that are used of the module; it is not installed here."""
    module = ModuleType("anthropic")
    module.__dict__.update(AccessToken=SdksToken, AnthropicError=SdksError)
    monkeypatch.setitem(sys.modules, "anthropic", module)


class Store:
    """A daemon with one token, which a refresh renews."""

    def __init__(self, folder: Path, *, expires_at: int = 2_000_000_000) -> None:
        self.generation = 1
        self.expires_at = expires_at
        self.daemon = ScriptedDaemon(folder, self.answer)

    def answer(self, request: Request) -> Iterable[Said]:
        match request:
            case Token(account="nobody"):
                yield Failure(code="no_account", message="there is no account nobody", hint="aixtiv login nobody")
            case Token():
                yield AccessToken(
                    account=request.account,
                    access_token=Secret(f"at-{self.generation}"),
                    generation=self.generation,
                    expires_at=self.expires_at,
                )
            case Refresh():
                self.generation += 1
                yield Account(name=request.account, provider="anthropic", kind="oauth", state="fresh")
            case _:
                raise EOFError

    @property
    def refreshes(self) -> int:
        return sum(isinstance(asked, Refresh) for asked in self.daemon.asked)


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store(folder)
    monkeypatch.setenv("AIXTIV_SOCKET", str(store.daemon.path))
    monkeypatch.setenv("AIXTIV_NO_START", "1")
    monkeypatch.delenv("AIXTIV_ACCOUNT", raising=False)
    with store.daemon:
        yield store


def test_the_sdk_is_told_to_ask_each_time(store: Store) -> None:
    given = credentials("anthropic/work")
    assert given() == SdksToken("at-1", expires_at=0)
    assert given(force_refresh=False) == SdksToken("at-1", expires_at=0)
    assert [asked.account for asked in store.daemon.asked if isinstance(asked, Token)] == ["anthropic/work"] * 2


def test_nothing_is_asked_before_the_sdk_asks_and_nothing_is_shown(store: Store) -> None:
    given = credentials()
    assert store.daemon.asked == []
    given()
    assert repr(given) == "Credentials('anthropic')"


def test_the_account_is_the_argument_then_the_environments_then_anthropic(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials()()
    monkeypatch.setenv("AIXTIV_ACCOUNT", "anthropic/env")
    monkeypatch.setenv("AIXTIV_AGENT_ID", "a7")
    credentials()()
    credentials("anthropic/said")()
    asked = [asked for asked in store.daemon.asked if isinstance(asked, Token)]
    assert [one.account for one in asked] == ["anthropic", "anthropic/env", "anthropic/said"]
    assert [one.agent for one in asked] == ["", "a7", "a7"]


def test_a_token_that_the_api_refused_is_refreshed(store: Store) -> None:
    given = credentials()
    given()
    assert given(force_refresh=True) == SdksToken("at-2", expires_at=0)
    assert store.refreshes == 1


def test_where_another_had_it_refreshed_already_that_one_is_given(store: Store) -> None:
    given = credentials()
    given()
    store.generation = 5
    assert given(force_refresh=True).token == "at-5"
    assert store.refreshes == 0


def test_an_api_key_is_not_refreshed(store: Store) -> None:
    store.expires_at = 0
    given = credentials()
    given()
    assert given(force_refresh=True).token == "at-1"
    assert store.refreshes == 0


def test_a_failure_is_one_of_the_sdks_own_with_our_sentence_and_hint(store: Store) -> None:
    with pytest.raises(SdksError, match=r"^there is no account nobody; run: aixtiv login nobody$"):
        credentials("nobody")()


def test_several_threads_may_call_it_at_once(store: Store) -> None:
    given, tokens = credentials(), []
    threads = [threading.Thread(target=lambda: tokens.append(given().token)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert tokens == ["at-1"] * 8


def test_importing_it_needs_no_sdk() -> None:
    script = "import sys, aixtiv.integrations.anthropic; print('anthropic' in sys.modules)"
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout == "False\n"
