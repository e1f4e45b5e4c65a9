"""Ways round the rules, and questions by which a caller would learn of accounts that it may not be told of."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from aixtiv_protocol import replies, requests
from aixtivd.access.rules import HIDDEN, RIGHTS
from aixtivd.config import AccessConfig, Config, Rule
from aixtivd.errors import BadRequest, NoAccount, NotAllowed
from aixtivd.vault.backup import Content
from peers.gated import SECRET, At, gate, items, me


def fed(at: At, name: str, by: str) -> None:
    """As a sign-in before left it."""
    entry = at.house.accounts._book.find(name)
    assert entry
    entry.grant = replace(entry.grant, source=requests.Federation(rule="r", identity_account=by))


async def test_the_source_that_an_account_has_already_is_looked_at_too(folder: Path) -> None:
    """`login --replace` without options sends the identity to the server that a sign-in before named."""
    async with gate(folder, Rule(accounts=("anthropic",), allow=("manage",))) as at:
        fed(at, "anthropic", "github")
        again = requests.Login(account="anthropic", replace=True)
        assert at.refused(again)
        assert at.refused(requests.Login(replace=True)), "the default is none of these"
        at.rules.reconfigure(Config(access=AccessConfig(relay_only=("github",))))
        assert at.refused(again)
        at.rules.reconfigure(Config(access=AccessConfig(default=("manage", "token"))))
        assert not at.refused(again)


async def test_no_account_takes_the_place_of_one_whose_identity_is_sent_elsewhere(folder: Path) -> None:
    """It is no more, and whatever is called so would feed what it fed."""
    async with gate(folder, default=("manage",)) as at:
        asked = requests.Rename(account="github", to="ghost")
        assert not at.refused(asked)
        fed(at, "anthropic", "ghost")
        assert at.refused(asked)
        at.rules.reconfigure(Config(access=AccessConfig(default=("manage", "token"))))
        assert not at.refused(asked)
        at.rules.reconfigure(Config(access=AccessConfig(default=RIGHTS, relay_only=("ghost",))))
        assert at.refused(asked)


async def test_an_earlier_source_counts_again_only_where_its_feeder_may_be_asked(folder: Path) -> None:
    async with gate(folder, Rule(accounts=("anthropic",), allow=("manage",))) as at:
        entry = at.house.accounts._book.named("anthropic")
        first = entry.grant
        source = requests.Federation(rule="r", identity_account="github")
        for each in (source, requests.Command(command=("/bin/true",))):
            now = entry.grant
            new = replace(first, generation=now.generation + 1, source=each, refresh_token=None)
            await at.house.accounts._settling.adopt(entry, now, new)
        before = entry.grant
        asked = at.gate.admit(requests.Reinstate(account="anthropic", generation=2), me())
        with pytest.raises(NotAllowed, match="identity is sent elsewhere only by who may have its token"):
            await at.house.accounts.generations.reinstate(asked, at.gate.feeding(me()))
        assert entry.grant is before, "nothing has changed"
        at.rules.reconfigure(Config(access=AccessConfig(default=("manage", "token"))))
        at.gate.feeding(me())(source)
        at.rules.reconfigure(Config())
        at.gate.feeding(me())(source)


async def test_who_may_not_have_an_identity_is_not_told_whether_there_is_that_account(folder: Path) -> None:
    async with gate(folder, default=("manage",)) as at:
        told = []
        for feeder in ("github", "githab"):
            asked = requests.Login(account="anthropic", source=requests.Federation(identity_account=feeder))
            with pytest.raises(NotAllowed) as refused:
                at.gate.admit(asked, me())
            told.append(at.gate.failed(asked, me(), refused.value.failure()))
        assert told[0] == told[1]


async def test_a_backup_brings_no_account_that_its_caller_may_not_manage_nor_one_fed_by_it(folder: Path) -> None:
    async with gate(folder) as at:
        content = at.house.accounts.content()
        at.gate.brought(me(), Content(1.0, ()))
        hands_off = Rule(accounts=("git*",), allow=("list",))
        at.rules.reconfigure(Config(rule=(hands_off, Rule(allow=RIGHTS))))
        for name in ("github", "anthropic"):
            await at.house.accounts.logout(requests.Logout(account=name))
        assert not at.refused(requests.Restore(passphrase=SECRET)), "none is there that it may not manage"
        with pytest.raises(NotAllowed, match="manage github"):
            at.gate.brought(me(), content)
        at.rules.reconfigure(Config(rule=(Rule(allow=RIGHTS),)))
        at.gate.brought(me(), content)
        await at.house.adopt("anthropic")
        fed(at, "anthropic", "corp")
        at.rules.reconfigure(Config(access=AccessConfig(relay_only=("corp",))))
        with pytest.raises(NotAllowed, match="identity"):
            at.gate.brought(me(), at.house.accounts.content())


async def test_nothing_about_an_account_is_told_where_no_right_to_it_was_looked_at(folder: Path) -> None:
    async with gate(folder) as at:
        for account in ("github", "githab"):
            with pytest.raises(BadRequest, match="has to be good for something"):
                at.gate.admit(requests.Ticket(account=account, verbs=()), me())


async def test_a_ticket_for_no_account_is_one_that_its_caller_may_call_with(folder: Path) -> None:
    names = ("anthropic/mine", "anthropic/theirs")
    async with gate(folder, Rule(accounts=("*/mine",), allow=("relay",)), names=()) as at:
        for name in names:
            await at.house.adopt(name, provider="anthropic")
        assert at.gate.admit(requests.Ticket(), me()).account == "anthropic/mine"
        at.rules.reconfigure(Config(access=AccessConfig(default=())))
        told = []
        for more in ("anthropic/more", "anthropic"):  # the usual one is there, or is not
            with pytest.raises(NotAllowed) as refused:
                at.gate.admit(requests.Ticket(), me())
            told.append(at.gate.failed(requests.Ticket(), me(), refused.value.failure()))
            await at.house.adopt(more, provider="anthropic")
        assert told[0] == told[1]
        assert "anthropic" not in told[0].message


async def test_a_ticket_that_may_not_be_ended_is_as_one_that_is_not_there(folder: Path) -> None:
    async with gate(folder, Rule(accounts=("git*", "anthropic")), default=("list", "manage")) as at:
        for word in ("t1", "twins"):
            with pytest.raises(NoAccount, match=f"there is no ticket {word}"):
                at.gate.admit(requests.RevokeTicket(ticket=word), me())
        at.rules.reconfigure(Config(access=AccessConfig(default=("list",))))
        told = []
        for word in ("t1", "unknown"):
            with pytest.raises(NotAllowed) as refused:
                at.gate.admit(requests.RevokeTicket(ticket=word), me())
            told.append(refused.value.failure())
        assert told[0] == told[1]


async def test_who_is_behind_an_account_is_told_only_to_who_may_be_told_of_it(folder: Path) -> None:
    account = replies.Account(
        name="github", provider="x", kind="oauth", state="fresh", subject="7", who="ada", issuer="https://i.example"
    )
    async with gate(folder, default=("relay", "token"), relay_only=("github",)) as at:
        asked = requests.Verify(account="github")
        for answer in (account, replies.Verified(account=account)):
            told = cast("Any", at.gate.told(asked, me(), answer))
            told = getattr(told, "account", told)
            assert (told.name, told.subject, told.who, told.issuer) == ("github", "", "", "")
        at.rules.reconfigure(Config(access=AccessConfig(relay_only=("github",))))
        assert at.gate.told(asked, me(), account) == account


async def test_what_a_sign_in_tells_names_no_hidden_account(folder: Path) -> None:
    mine = replies.Account(name="mine", provider="x", kind="oauth", state="fresh", who="ada")

    async def told() -> AsyncIterator[replies.Reply]:
        yield replies.SignedIn(account=mine, note="github stands for who was signed in before")

    async with gate(folder, Rule(accounts=("mine",), allow=("list", "manage"))) as at:
        (signed_in,) = await items(at.gate.quieting(told(), requests.Login(account="mine"), me()))
        assert (signed_in.note, signed_in.account) == (f"{HIDDEN} stands for who was signed in before", mine)
        at.rules.reconfigure(Config())
        (signed_in,) = await items(at.gate.quieting(told(), requests.Login(account="mine"), me()))
        assert signed_in.note.startswith("github")


async def test_records_name_no_hidden_account_that_is_no_more(folder: Path) -> None:
    async def told() -> AsyncIterator[replies.Reply]:
        yield replies.AuditRecord(number=1, at=1.0, what="sign-in", account="gone/other", detail="x")
        detail = "hidden/corp, mine and gone/other came back"
        yield replies.AuditRecord(number=2, at=2.0, what="restore", detail=detail)

    hide, mine = Rule(accounts=("hidden*",)), Rule(accounts=("mine", ""), allow=("list", "manage"))
    async with gate(folder, hide, mine) as at:
        (record,) = await items(at.gate.passing(told(), me()))
        assert record.detail == f"{HIDDEN}, mine and {HIDDEN} came back"


async def test_while_the_vault_is_locked_nothing_that_might_be_a_name_is_told(folder: Path) -> None:
    async def told() -> AsyncIterator[replies.Reply]:
        yield replies.AuditRecord(number=1, at=1.0, what="restore", detail="github came back")

    async with gate(folder, Rule(accounts=("mine",), allow=("list",))) as at:
        await at.house.accounts.lock()
        assert [record.detail for record in await items(at.gate.passing(told(), me()))] == [""]
        at.rules.reconfigure(Config(rule=(Rule(allow=("list",)), Rule(accounts=("x",)))))
        assert [record.detail for record in await items(at.gate.passing(told(), me()))] == ["github came back"]
