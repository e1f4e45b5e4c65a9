"""Which right each request needs, and what of an answer its caller is told: real accounts, a caller as tests say it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from msgspec.structs import replace

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import Request, Right
from aixtiv_protocol.secret import Secret
from aixtivd.access.rules import HIDDEN, RIGHTS
from aixtivd.config import AccessConfig, AccountConfig, Config, Rule, Who
from aixtivd.errors import AixtivError, Locked, NoAccount, NotAllowed
from peers.gated import SECRET, gate, items, me

ALWAYS: tuple[Request, ...] = (
    requests.Hello(),
    requests.Status(),
    requests.Explain(),
    requests.Relay(path="/v1/x"),  # which the relay judges itself
    requests.Piece(),
)

NEEDED: list[tuple[Request, Right, str]] = [
    (requests.Token(account="github"), "token", "github"),
    (requests.HostToken(account="github"), "token", "github"),
    (requests.Refresh(account="github"), "token", "github"),
    (requests.Verify(account="github"), "token", "github"),
    (requests.Accounts(), "list", "*"),
    (requests.Watch(), "list", "*"),
    (requests.Examine(), "list", "*"),
    (requests.Examine(account="github"), "list", "github"),
    (requests.Login(account="github"), "manage", "github"),
    (requests.Adopt(refresh_token=SECRET, account="github"), "manage", "github"),
    (requests.Callback(pasted=Secret("x"), account="github"), "manage", "github"),
    (requests.Logout(account="github"), "manage", "github"),
    (requests.Rename(account="github", to="github"), "manage", "github"),
    (requests.Generations(account="github"), "manage", "github"),
    (requests.Reinstate(account="github"), "manage", "github"),
    (requests.ApiKey(account="github", key=SECRET), "manage", "github"),
    (requests.Ticket(account="github"), "relay", "github"),
    (requests.Ticket(account="github", verbs=("token",)), "token", "github"),
    (requests.RevokeTicket(ticket="t1"), "manage", "github"),
    (requests.RevokeTicket(ticket="unknown"), "manage", ""),
    (requests.Audit(account="github"), "manage", "github"),
    (requests.Audit(), "manage", ""),
    (requests.Audit(account="github", verify=True), "manage", ""),
    (requests.Audit(account="github", new=True), "manage", ""),
    (requests.Usage(), "manage", ""),
    (requests.Tickets(), "manage", ""),
    (requests.Metrics(), "manage", ""),
    (requests.Explain(pid=1), "manage", ""),
    (requests.KeyCheck(), "manage", ""),
    (requests.KeyRotate(), "manage", ""),
    (requests.KeyMove(to="file"), "manage", ""),
    (requests.Export(new_passphrase=SECRET), "manage", "*"),
    (requests.Restore(passphrase=SECRET), "manage", "*"),
    (requests.Lock(), "manage", ""),
    (requests.Unlock(), "manage", ""),
    (requests.Reload(), "manage", ""),
    (requests.Restart(), "manage", ""),
    (requests.Stop(), "manage", ""),
]


def test_of_every_request_it_is_said_here_which_right_it_needs() -> None:
    told = {type(asked) for asked in ALWAYS} | {type(asked) for asked, _, _ in NEEDED}
    assert told == set(get_args(Request))


def only(right: Right, account: str) -> tuple[Rule, ...]:
    """That right with that account, and none but that; `account` empty: with what is of none."""
    others = Rule(accounts=("anthropic", "github"))
    given = Rule(accounts=(account or "*",), allow=(right,))
    return (given,) if account else (others, given)


async def test_each_request_needs_its_right_and_no_other(folder: Path) -> None:
    async with gate(folder) as at:
        for asked, right, account in NEEDED:
            at.rules.reconfigure(Config(access=AccessConfig(default=())))
            assert at.refused(asked), asked
            at.rules.reconfigure(Config(rule=only(right, account), access=AccessConfig(default=())))
            assert not at.refused(asked), asked
            others = tuple(one for one in RIGHTS if one != right)
            at.rules.reconfigure(Config(access=AccessConfig(default=others)))
            assert at.refused(asked), asked
            if account == "github" and not isinstance(asked, requests.RevokeTicket):  # which says that there is none
                at.rules.reconfigure(Config(rule=(Rule(accounts=("github",)), Rule(allow=RIGHTS))))
                assert at.refused(asked), asked


async def test_what_everybody_may_ask(folder: Path) -> None:
    async with gate(folder) as at:
        for asked in (*ALWAYS, requests.Explain(pid=os.getpid())):
            assert not at.refused(asked), asked


async def test_a_request_that_names_no_account_is_about_the_default_and_about_no_other(folder: Path) -> None:
    async with gate(folder, Rule(accounts=("github",), allow=("token",)), names=("github",)) as at:
        assert at.gate.admit(requests.Token(), me()).account == "github"
        await at.house.adopt("anthropic")
        assert at.refused(requests.Token()), "no default any more: of no account, and that is not allowed"
        assert at.gate.admit(requests.Token(account="github"), me()).account == "github"


async def test_relay_only_accounts_are_refreshed_and_verified_by_who_may_call_with_them(folder: Path) -> None:
    async with gate(folder, default=("relay", "token"), relay_only=("github",)) as at:
        for asked in (requests.Refresh(account="github"), requests.Verify(account="github")):
            assert not at.refused(asked)
        for showing in (
            requests.Token(account="github"),
            requests.Ticket(account="github", verbs=("token",)),
            requests.Ticket(account="github", verbs=("relay", "token")),
        ):
            assert at.refused(showing)
        at.rules.reconfigure(Config(access=AccessConfig(default=("token",), relay_only=("github",))))
        assert at.refused(requests.Refresh(account="github"))


async def test_an_identity_is_sent_elsewhere_only_by_who_may_have_its_token(folder: Path) -> None:
    """With the right to manage one account, a token endpoint of one's own would be told another's ID token."""
    source = requests.Federation(rule="r", identity_account="github")
    asked = requests.Login(account="anthropic", source=source)
    async with gate(folder, Rule(accounts=("anthropic",), allow=("manage",)), default=("manage",)) as at:
        assert at.refused(asked)
        at.rules.reconfigure(Config(access=AccessConfig(relay_only=("github",))))
        assert at.refused(asked)
        at.rules.reconfigure(Config(access=AccessConfig(relay_only=("anthropic",))))
        assert not at.refused(asked)


async def test_every_ticket_that_a_name_stands_for_has_to_be_ones_own_to_end(folder: Path) -> None:
    async with gate(folder, Rule(accounts=("github",), allow=("manage",))) as at:
        assert not at.refused(requests.RevokeTicket(ticket="t1"))
        assert at.refused(requests.RevokeTicket(ticket="twins"))


@pytest.mark.parametrize(
    ("rules", "access"),
    [
        ((Rule(accounts=("github",), allow=("manage", "relay")),), {}),
        ((Rule(accounts=("github",), allow=("list", "manage", "relay", "token"), paths=("/v1/models",)),), {}),
        ((), {"relay_only": ("github",)}),
    ],
    ids=["a right", "a path", "relay-only"],
)
async def test_no_account_gets_out_of_a_rule_by_its_name(
    folder: Path, rules: tuple[Rule, ...], access: dict[str, Any]
) -> None:
    asked = requests.Rename(account="github", to="mine")
    async with gate(folder, *rules, default=RIGHTS, **access) as at:
        assert at.refused(asked)
        at.rules.reconfigure(Config(rule=(Rule(accounts=("mine",), allow=("manage",)),)))
        assert not at.refused(asked), "less is no way out"


OTHER, SELF = Who(executable="/usr/bin/other"), Who(unit="tool.service")
MINE = Rule(who=SELF, allow=("list", "manage"))


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ((MINE, Rule(accounts=("github",)), Rule(accounts=("pub*",), allow=("token",))), "rule 3 would .* rule 2 does"),
        ((MINE, Rule(accounts=("github",))), "the default would .* rule 2 does"),
        ((MINE, Rule(who=OTHER, accounts=("pub*",), allow=RIGHTS), Rule()), "rule 2 would .* rule 3 does"),
        (
            (MINE, Rule(who=OTHER, allow=("relay",), accounts=("github",), paths=("/v1",)), Rule(allow=("relay",))),
            "rule 3 would .* rule 2 does",
        ),
        ((Rule(accounts=("github",), who=OTHER), MINE), "rule 2 would .* rule 1 does"),
    ],
    ids=["another rule", "the default", "a rule about another program", "a path", "who fits two rules"],
)
async def test_nor_does_it_get_out_of_one_for_anybody_else(
    folder: Path, rules: tuple[Rule, ...], sentence: str
) -> None:
    async with gate(folder, *rules, default=("list",)) as at:
        with pytest.raises(NotAllowed, match=sentence):
            at.gate.admit(requests.Rename(account="github", to="pub-1"), me())


@pytest.mark.parametrize(
    "rules",
    [
        (MINE, Rule(accounts=("github", "pub*"), allow=("token",))),
        (MINE, Rule(accounts=("github",), allow=RIGHTS), Rule(accounts=("pub*",), allow=("token",))),
        (MINE, Rule(who=OTHER, accounts=("github",), allow=("list", "token")), Rule(who=OTHER, allow=("token",))),
        (Rule(allow=RIGHTS), Rule(accounts=("github",))),
        (MINE, Rule(accounts=("github",), allow=("relay",)), Rule(allow=("relay",), paths=("/v1",))),
        (),
    ],
    ids=["both are named", "fewer rights", "of one program", "what never decides", "fewer paths", "no rules"],
)
async def test_a_name_under_which_nobody_may_do_more_is_as_good(folder: Path, rules: tuple[Rule, ...]) -> None:
    async with gate(folder, *rules, default=("list",) if rules else ("manage",)) as at:
        at.gate.admit(requests.Rename(account="github", to="pub-1"), me())


async def test_who_is_behind_earlier_generations_is_told_to_who_may_know(folder: Path) -> None:
    now = replies.Generation(number=2, current=True, who="ada")
    listed = replies.GenerationList(account="github", generations=(now,))
    changed = replies.AccountChanged(
        account=replies.Account(name="github", provider="x", kind="oauth", state="fresh", who="ada")
    )
    async with gate(folder, Rule(accounts=("github",), allow=("manage",))) as at:
        quiet = cast("replies.GenerationList", at.gate.told(requests.Generations(account="github"), me(), listed))
        assert quiet.generations == (replace(now, who=""),)
        answer = at.gate.told(requests.Reinstate(account="github"), me(), changed)
        assert cast("replies.AccountChanged", answer).account.who == ""
        at.rules.reconfigure(Config())
        assert at.gate.told(requests.Generations(account="github"), me(), listed) == listed


async def test_a_backup_needs_the_right_to_every_account(folder: Path) -> None:
    async with gate(folder, Rule(accounts=("github",), allow=("list",)), default=("manage",)) as at:
        assert at.refused(requests.Export(new_passphrase=SECRET))
        assert at.refused(requests.Restore(passphrase=SECRET))


async def test_only_accounts_that_may_be_told_of_are_listed(folder: Path) -> None:
    names = ("a", "b", "c", "d")
    async with gate(folder, Rule(accounts=("b", "d"), allow=("list",)), names=names) as at:
        listed = at.gate.told(requests.Accounts(), me(), at.house.accounts.accounts())
        assert isinstance(listed, replies.AccountList)
        assert ([account.name for account in listed.accounts], listed.more) == (["b", "d"], False)
        behind = at.gate.told(requests.Accounts(after="b"), me(), at.house.accounts.accounts("b"))
        assert [account.name for account in cast("replies.AccountList", behind).accounts] == ["d"]
        status = replies.DaemonStatus(
            version="1", pid=1, started_at=1, locked=False, skews={"issuer.example": 1.0}, accounts=listed.accounts
        )
        told = cast("replies.DaemonStatus", at.gate.told(requests.Status(), me(), status))
        assert ([account.name for account in told.accounts], told.skews) == (["b", "d"], {})


async def test_lists_of_whatever_kind_leave_out_the_same(folder: Path) -> None:
    ticket = replies.TicketShown(id="t", account="anthropic", verbs=())
    row = replies.UsageRow(account="anthropic", program="x")
    finding = replies.Finding(name="token", ok=True, sentence="x", account="anthropic")
    shared = replies.Finding(name="issuer", ok=True, sentence="host.example answers")
    async with gate(folder, Rule(accounts=("github",), allow=("list",))) as at:

        def told(asked: Request, answer: replies.Reply) -> Any:
            return at.gate.told(asked, me(), answer)

        other = replace(ticket, account="github")
        assert told(requests.Tickets(), replies.TicketList(tickets=(ticket, other))).tickets == (other,)
        mine = replace(row, account="github")
        assert told(requests.Usage(), replies.UsageReport(rows=(row, mine))).rows == (mine,)
        seen = replace(finding, account="github")
        everything = replies.Examined(findings=(finding, seen, shared))
        assert told(requests.Examine(), everything).findings == (seen,)


async def test_whoever_may_be_told_of_nothing_is_refused_and_not_told_that_there_is_nothing(folder: Path) -> None:
    async with gate(folder, default=("token", "relay", "manage")) as at:
        for asked in (requests.Accounts(), requests.Watch(), requests.Examine()):
            assert at.refused(asked)
        await at.house.accounts.lock()
        with pytest.raises(Locked):
            at.gate.admit(requests.Token(), me())


async def test_events_and_records_of_hidden_accounts_do_not_pass_and_the_others_do(folder: Path) -> None:
    async def told() -> AsyncIterator[replies.Reply]:
        yield replies.Event(event="refreshed", at=1.0, account="anthropic")
        yield replies.Event(event="failing", at=2.0, account="github", detail="the identity of anthropic: it is gone")
        yield replies.Event(event="locked", at=3.0)

    async with gate(folder, Rule(accounts=("github",), allow=("list",))) as at:
        passed = await items(at.gate.passing(told(), me()))
        assert [(event.event, event.detail) for event in passed] == [
            ("failing", f"the identity of {HIDDEN}: it is gone"),
            ("locked", ""),
        ]
        at.rules.reconfigure(Config())
        assert len(await items(at.gate.passing(told(), me()))) == 3


async def test_no_sentence_and_no_hint_names_an_account_that_may_not_be_told_of(folder: Path) -> None:
    async with gate(folder, Rule(accounts=("mine",), allow=("list", "token")), default=("token",)) as at:
        account = replies.Account(name="mine", provider="x", kind="oauth", state="failing", problem="see github")
        verified = at.gate.quiet(replies.Verified(account=account, note="github said so"), me(), "mine")
        assert (verified.account.problem, verified.note) == (f"see {HIDDEN}", f"{HIDDEN} said so")


async def test_it_does_not_show_whether_there_is_an_account_of_nearly_that_name(folder: Path) -> None:
    async with gate(folder, Rule(accounts=("mine",), allow=("list", "token")), default=("token",)) as at:
        failures = []
        for typed in ("githab", "zzzzzzzz"):
            with pytest.raises(NoAccount) as refused:
                await at.house.accounts.token(requests.Token(account=typed))
            failures.append(refused.value.failure())
        assert "github" in failures[0].message + failures[0].hint, "else this test shows nothing"
        for typed, failure in zip(("githab", "zzzzzzzz"), failures, strict=True):
            told = at.gate.failed(requests.Token(account=typed), me(), failure)
            assert (told.message, told.hint) == (f"there is no account {typed}", "")
        at.rules.reconfigure(Config())
        assert at.gate.failed(requests.Token(account="githab"), me(), failures[0]) == failures[0]


async def test_a_token_that_was_waited_for_is_asked_about_again(folder: Path) -> None:
    async with gate(folder, default=("token",)) as at:
        asked = requests.Token(account="github")
        at.gate.admit(asked, me())
        at.rules.reconfigure(Config(access=AccessConfig(default=())))
        with pytest.raises(NotAllowed):
            at.gate.told(asked, me(), replies.AccessToken(account="github", access_token=SECRET))


async def test_a_pasted_answer_finishes_only_a_sign_in_that_its_caller_may_manage(folder: Path) -> None:
    """A lone code names no account: it would be taken for the only sign-in that is open, whosever that is."""
    settings = requests.ClientSettings(
        client_id="c",
        authorization_endpoint="https://issuer.example/a",
        token_endpoint="https://issuer.example/t",
        redirect_uri="https://issuer.example/done",
    )
    lone = requests.Callback(pasted=Secret("a-code"))
    async with gate(folder, Rule(accounts=("mine",), allow=("manage",))) as at:
        started = await anext(at.house.accounts.login(requests.Login(account="theirs", settings=settings)))
        assert isinstance(started, replies.SignInStarted)
        with pytest.raises(NoAccount, match="no sign-in is open"):
            at.gate.admit(lone, me())
        assert at.refused(replace(lone, account="theirs"))
        await anext(at.house.accounts.login(requests.Login(account="mine", settings=settings)))
        assert at.gate.admit(lone, me()).account == "mine"
        told = at.gate.quiet(replies.Failure(code="refused", message="taken by the sign-in to theirs"), me())
        assert told.message == f"taken by the sign-in to {HIDDEN}", "nobody has signed in to it yet"


async def test_explain_tells_what_decides_and_leaves_out_what_may_not_be_listed(folder: Path) -> None:
    tool = Rule(who=Who(unit="tool.service"), accounts=("github",), allow=("relay", "list"), paths=("/user",))
    async with gate(folder, tool) as at:
        told = at.explaining.explain(requests.Explain(), me())
        assert [(d.account, d.rights, d.rule, d.paths) for d in told.decisions] == [
            ("", (), 0, ()),
            ("github", ("list", "relay"), 1, ("/user",)),
        ]
        assert told.decisions[1].why == "rule 1 is about tool.service"
        assert (told.pid, told.through, told.unit, told.note) == (os.getpid(), 0, "tool.service", "")
        asked = requests.Explain(account="github", path="/user/x?y=/other")
        assert at.explaining.explain(asked, me()).decisions[1].rights == ("list", "relay")
        unclear = replace(asked, path="/user%2fx")  # of which a server may see the first half only
        assert at.explaining.explain(unclear, me()).decisions[1].rights == ("list",)
        other = at.explaining.explain(replace(asked, path="/users"), me()).decisions[1]
        assert (other.rights, other.paths) == (("list",), ("/user",)), "only the path is in the way"
        named = at.explaining.explain(requests.Explain(account="anthropic"), me()).decisions[1]
        assert (named.account, named.rights) == ("anthropic", ())
        assert at.explaining.explain(requests.Explain(account="nosuch"), me()).note == "", "it may not know"
    async with gate(folder / "another", default=("list",)) as at:
        told = at.explaining.explain(requests.Explain(account="nosuch"), me())
        assert told.note == "there is no account nosuch; this is what would hold for it"


async def test_explain_says_when_a_process_is_not_what_it_was_or_is_none(folder: Path) -> None:
    async with gate(folder) as at:
        changed = replace(me(), mark="another")
        assert "runs another program since it connected" in at.explaining.explain(requests.Explain(), changed).note
        with pytest.raises(AixtivError, match="there is no process 2147483647"):
            at.explaining.explain(requests.Explain(pid=2**31 - 1), me())
        assert at.explaining.explain(requests.Explain(pid=os.getppid()), me()).pid == os.getppid()


async def test_explain_fits_into_one_answer_however_many_accounts_there_are(folder: Path) -> None:
    names = tuple(f"account-{number:03}" for number in range(120))
    async with gate(folder, names=names, default=("list",)) as at:
        told = at.explaining.explain(requests.Explain(), me())
        assert len(told.decisions) == 100
        assert told.note == "of 121 accounts the first are told: name another"


async def test_of_an_account_that_the_config_names_nothing_is_told_to_who_may_not_know_of_it(folder: Path) -> None:
    named = {name: AccountConfig(hosts=("two.example",)) for name in ("hidden", "github")}
    async with gate(folder, Rule(accounts=("hidden",), allow=()), default=RIGHTS, names=("github",)) as at:
        at.house.accounts.reconfigure(at.house.config(account=named))
        sentence = "two.example is in the hosts of github and hidden"
        told = at.gate.failed(requests.HostToken(url="https://two.example"), me(), replies.Failure("refused", sentence))
        assert "hidden" not in told.message, "nobody has signed in to it yet"
        for url in ("https://two.example", "https://other.example"):
            with pytest.raises(NotAllowed):
                at.gate.admit(requests.HostToken(url=url, account="hidden"), me())
