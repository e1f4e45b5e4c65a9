"""Tokens for hosts: whose they are, for where, and what follows when a host does not take one."""

import base64
import json
from collections.abc import Callable

import msgspec
import pytest

from aixtiv_protocol.requests import ApiKey, HostToken
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.handing import ID_TOKEN
from aixtivd.config import AccountConfig
from aixtivd.errors import Locked, Misconfigured, NoAccount, Refused, SignInNeeded, Unreachable
from aixtivd.oauth.outcomes import Granted
from peers.clock import FakeClock
from peers.house import House, Opener, granted

ACCOUNTS = {
    "github": AccountConfig(hosts=("github.com",), username="ada"),
    "work": AccountConfig(hosts=("git.example.org", "github.com/acme")),
    "private": AccountConfig(hosts=("git.example.org",), username="me"),
    "nobody": AccountConfig(hosts=("nobody.example.org",)),
}


async def had(h: House, url: str = "https://github.com", **asked: object) -> tuple[str, str, str]:
    """Account, token and user name."""
    found = await h.accounts.handing.token(HostToken(url=url, **asked))  # type: ignore[arg-type]  # a test's own words
    return found.account, found.access_token.reveal(), found.username


@pytest.mark.parametrize(
    ("url", "username", "account"),
    [
        ("https://github.com/x", "", "github"),
        ("https://github.com/x", "ada", "github"),
        ("https://github.com/acme/tool.git", "", "work"),
        ("https://github.com/acme/tool.git", "bob", "work"),
        ("https://github.com/acme-evil", "", "github"),
        ("https://git.example.org", "me", "private"),
        ("https://git.example.org", "work", "work"),
        ("https://git.example.org", "bob", "work"),
    ],
)
async def test_the_longest_path_decides_whose_it_is_and_then_the_users_name(
    house: Opener, url: str, username: str, account: str
) -> None:
    async with house(account=ACCOUNTS) as h:
        for name in ("github", "work", "private"):
            await h.adopt(name)
        found, token, shown = await had(h, url, username=username)
        assert (found, token) == (account, "access-0")
        assert shown == (ACCOUNTS[account].username or username)


async def test_several_for_one_host_are_named_and_none_is_taken(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        with pytest.raises(Refused, match=r"git\.example\.org is in the hosts of private and work"):
            await had(h, "https://git.example.org")


@pytest.mark.parametrize(
    "url", ["https://gitlab.com", "https://github.com:8443", "http://github.com", "ssh://github.com"]
)
async def test_for_a_host_that_no_account_names_there_is_no_token(house: Opener, url: str) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.adopt("github")
        with pytest.raises(NoAccount):
            await had(h, url)
        with pytest.raises(Refused):
            await had(h, url, account="github")


async def test_an_account_that_is_named_must_be_for_that_host(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.adopt("github")
        await h.adopt("work")
        assert (await had(h, "https://git.example.org", account="work"))[0] == "work"
        with pytest.raises(Refused, match=r"work is not for github\.com: account\.work\.hosts does not name it"):
            await had(h, account="work")
        with pytest.raises(Refused, match="other is not for"):
            await had(h, account="other")


async def test_without_a_host_the_account_is_the_one_that_is_named_else_the_default(house: Opener) -> None:
    async with house(account=ACCOUNTS, default_account="work") as h:
        await h.adopt("github")
        await h.adopt("work")
        assert (await had(h, ""))[0] == "work"
        assert (await had(h, "", account="github"))[0] == "github"


async def test_an_account_that_the_config_names_and_nobody_signed_in_to_says_so(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        with pytest.raises(SignInNeeded, match="nobody has signed in to nobody") as failed:
            await had(h, "https://nobody.example.org")
        assert failed.value.hint == "aixtiv login nobody"


async def test_a_reload_counts_at_once(house: Opener) -> None:
    async with house() as h:
        await h.adopt("github")
        with pytest.raises(NoAccount):
            await had(h)
        h.accounts.reconfigure(h.config(account=ACCOUNTS))
        assert (await had(h))[0] == "github"
        h.accounts.reconfigure(h.config(account={}))
        with pytest.raises(NoAccount):
            await had(h)


async def test_while_locked_there_is_none(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.adopt("github")
        await h.accounts.lock()
        for url in ("https://github.com", ""):
            with pytest.raises(Locked):
                await had(h, url)


async def test_a_token_that_a_host_rejected_is_refreshed_once_before_it_is_given_again(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.adopt("github")
        h.script.answers = [granted(1), granted(2)]
        assert (await had(h))[1] == "access-0"
        assert (await had(h, rejected=Secret("access-0")))[1] == "access-1"
        assert (await had(h, rejected=Secret("access-0")))[1] == "access-1", "another caller's, and it is gone already"
        assert h.script.spent == ["refresh-0"]


async def test_what_came_in_its_place_is_not_replaced_in_its_turn_before_a_minute_has_passed(house: Opener) -> None:
    clock = FakeClock()
    async with house(clock, account=ACCOUNTS) as h:
        await h.adopt("github")
        h.script.answers = [granted(1), granted(2)]
        await had(h, rejected=Secret("access-0"))
        for _ in range(3):
            assert (await had(h, rejected=Secret("access-1")))[1] == "access-1", "the host has reasons of its own"
        clock.advance(61)
        assert (await had(h, rejected=Secret("access-1")))[1] == "access-2"


async def test_where_no_better_token_is_to_be_had_it_says_why(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.adopt("github")
        with pytest.raises(Unreachable):  # nothing in the script: the provider does not answer
            await had(h, rejected=Secret("access-0"), wait=0.5)
        assert (await had(h))[1] == "access-0", "and who did not complain gets what there is"


async def test_a_word_that_is_not_the_token_refreshes_nothing(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.adopt("github")
        assert (await had(h, rejected=Secret("guessed")))[1] == "access-0"
        assert h.script.spent == []


async def test_more_life_than_half_of_what_its_tokens_have_is_not_asked_for(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.adopt("github", lifetime=40)
        assert (await had(h, min_ttl=60))[1] == "access-0"


def id_token(exp: float) -> Secret:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, {"exp": exp})]
    return Secret(".".join((*parts, "c2ln")))


def with_identity(answer: Granted, exp: float) -> Granted:
    return Granted(tokens=msgspec.structs.replace(answer.tokens, id_token=id_token(exp)))


async def identified(h: House, made: Callable[[], Secret]) -> None:
    entry = h.accounts._book.named("github")
    entry.adopt(msgspec.structs.replace(entry.grant, id_token=made(), id_token_at=h.clock.wall()), h.clock)


async def test_the_id_token_is_given_where_that_is_asked_for_and_a_new_one_where_it_is_over(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.adopt("github")
        with pytest.raises(Misconfigured, match="has no ID token"):
            await had(h, kind="id")
        soon, later = int(h.clock.wall()) + 600, int(h.clock.wall()) + 7200
        await identified(h, lambda: id_token(soon))
        found = await h.accounts.handing.token(HostToken(url="https://github.com", kind="id"))
        assert (found.access_token, found.token_type, found.expires_at) == (id_token(soon), ID_TOKEN, soon)
        h.script.answers = [with_identity(granted(1), later)]
        h.clock.advance(700)
        found = await h.accounts.handing.token(HostToken(url="https://github.com", kind="id"))
        assert (found.access_token, found.expires_at) == (id_token(later), later)


async def test_an_api_key_is_given_as_what_it_is(house: Opener) -> None:
    async with house(account=ACCOUNTS) as h:
        await h.accounts.api_key(ApiKey(account="github", key=Secret("k-1")))
        found = await h.accounts.handing.token(HostToken(url="https://github.com"))
        assert (found.access_token, found.token_type, found.expires_at) == (Secret("k-1"), "api-key", 0)
        assert (await had(h, rejected=Secret("k-1")))[1] == "k-1", "nothing renews it"
