"""How often a bridge signs in: a server that takes no token cannot have it go on for ever."""

from contextlib import nullcontext
from typing import Any, cast

import pytest

from aixtiv import surroundings
from aixtiv.client import Client
from aixtiv.failures import AixtivError, Locked, SignInNeeded
from aixtiv.mcp.servers import Server
from aixtiv.mcp.signing import MOST, SigningIn
from aixtiv_protocol.replies import Account, SignedIn

BOT = Account(name="bot", provider="bot", kind="oauth", state="fresh")


class Daemon:
    """That signs in without a person, or cannot."""

    def __init__(self) -> None:
        self.asked = 0
        self.failure: AixtivError | None = None

    def login(self, *_: object, **__: object) -> Any:
        self.asked += 1
        if self.failure:
            raise self.failure
        return nullcontext(iter([SignedIn(account=BOT)]))


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setattr(surroundings, "here", lambda: surroundings.Surroundings(kind="desktop"))
    return Daemon()


def signing(daemon: Daemon) -> SigningIn:
    return SigningIn(Server("bot", "https://h.example/mcp"), {}, lambda: cast(Client, nullcontext(daemon)))


def test_an_account_that_needs_no_person_is_not_signed_in_to_for_ever(daemon: Daemon) -> None:
    bot = signing(daemon)
    for seen in range(MOST):
        bot.renew(seen)
    with pytest.raises(SignInNeeded, match="still wants another"):
        bot.renew(MOST)
    assert daemon.asked == MOST


def test_what_could_not_begin_counts_for_nothing(daemon: Daemon) -> None:
    bot = signing(daemon)
    daemon.failure = Locked("the vault is locked")
    for _ in range(MOST + 1):
        with pytest.raises(Locked):
            bot.renew(0)
    daemon.failure = None
    bot.renew(0)
    assert bot.count == 1
