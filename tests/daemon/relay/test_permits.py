"""The config's rules over relayed calls: asked by the relay itself, so by whichever door a call came."""

import os
from typing import Any, cast

import pytest
from msgspec.structs import replace

from aixtivd.access.caller import described
from aixtivd.access.rules import HIDDEN, Rules
from aixtivd.access.ticket import Held
from aixtivd.accounts.service import Accounts
from aixtivd.config import AccessConfig, Config, Rule, Who
from aixtivd.errors import AixtivError, BadRequest, NotAllowed, Refused, SignInNeeded
from aixtivd.relay.passage import Passage
from aixtivd.relay.permits import Permits
from peers.relaying import called, hello, key, relaying

NOWHERE = "http://127.0.0.1:9"  # nobody is reached where a rule forbids it
ME = replace(described(os.getpid()), unit="tool.service", executable="/usr/bin/tool", script="")
TOOL = Rule(who=Who(unit="tool.service"), accounts=("anthropic",), allow=("relay",), paths=("/v1/messages",))
NONE = AccessConfig(default=())


async def failure(*things: Any, call: Any, rule: tuple[Rule, ...] = (TOOL,)) -> tuple[AixtivError, Any]:
    """What became of a call that nobody answers, and what stood around it."""
    async with relaying(NOWHERE, *things, rule=rule, access=NONE) as at:
        at.purse.names = {"anthropic", "google"}
        with pytest.raises(AixtivError) as refused:
            await at.get(call)
        return refused.value, at


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/messages2",
        "/v1/models?x=/v1/messages",
        "/v1/messages%2fbatches",  # of which a server may see the folder, or one long name
        "/v1/messages;x/../models",
        "/v1/messages/../models",
        "/v1/messages/%2e%2e/models",
        "/v1//messages/..%2fmodels",
        "/V1/messages",
    ],
)
async def test_a_path_that_some_server_could_read_as_another_than_the_rule_allows_is_not_relayed(path: str) -> None:
    refused, at = await failure(call=called("GET", path, caller=ME))
    assert isinstance(refused, NotAllowed | BadRequest), path
    assert at.purse.asked == [], "nobody asked for a credential"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/batches/x"])
async def test_what_the_rule_allows_goes_on(path: str) -> None:
    refused, at = await failure(call=called("GET", path, caller=ME))
    assert refused.code == "unreachable"
    assert len(at.purse.asked) == 1


async def test_a_denial_is_audited_as_one_with_its_sentence_and_its_account() -> None:
    refused, at = await failure(call=called("GET", "/v1/models?secret=hunter2", caller=ME, account="anthropic"))
    sentence = "rule 1 lets /usr/bin/tool in tool.service call /v1/messages alone"
    assert (refused.sentence, refused.hint) == (sentence, f"aixtiv access explain --pid {os.getpid()} anthropic")
    (record,) = at.ledger.records
    assert (record["what"], record["ok"], record["account"], record["detail"]) == (
        "denied",
        False,
        "anthropic",
        sentence,
    )


async def test_who_named_none_and_is_denied_is_not_told_which_one_it_would_have_been() -> None:
    refused, _ = await failure(call=hello(caller=replace(ME, unit="x.service")))
    sentence = "no rule is about it, and the default does not let /usr/bin/tool in x.service make calls with"
    assert (refused.sentence, refused.hint) == (f"{sentence} {HIDDEN}", "aixtiv access explain")


async def test_it_does_not_show_whether_the_account_that_is_meant_is_there() -> None:
    told = []
    for names in ({"anthropic", "x"}, {"x"}):
        async with relaying(NOWHERE, rule=(TOOL,), access=NONE) as at:
            at.purse.names = names
            with pytest.raises(NotAllowed) as refused:
                await at.get(hello(caller=replace(ME, unit="x.service")))
            told.append((refused.value.sentence, refused.value.hint))
    assert told[0] == told[1]


async def test_what_was_typed_in_an_accounts_place_is_not_in_the_audit() -> None:
    _, at = await failure(call=hello(caller=ME, account="mistyped"))
    (record,) = at.ledger.records
    assert (record["account"], record["detail"]) == ("", "a rule forbids that call")


async def test_a_call_that_names_no_account_is_judged_by_the_one_that_it_means() -> None:
    refused, _ = await failure(call=hello(caller=ME))
    assert refused.code == "unreachable"
    other = replace(TOOL, accounts=("",))
    refused, _ = await failure(call=hello(caller=ME), rule=(other,))
    assert isinstance(refused, NotAllowed)


async def test_who_shows_a_ticket_may_what_its_maker_may_and_no_more() -> None:
    made_here = Held(id="t1", account="anthropic", verbs=("relay",), unit="tool.service")
    refused, _ = await failure(call=hello(caller=made_here.shown_by(replace(ME, unit="", pid=0))))
    assert refused.code == "unreachable"
    made_elsewhere = replace(made_here, unit="other.service")
    refused, _ = await failure(call=hello(caller=made_elsewhere.shown_by(ME)))
    assert isinstance(refused, NotAllowed)


async def test_a_key_of_ones_own_is_no_way_round_a_rule() -> None:
    refused, at = await failure(key(), call=hello(caller=replace(ME, unit="x.service"), api_key=key().secret))
    assert isinstance(refused, NotAllowed)
    assert at.purse.asked == []


async def test_a_failure_and_a_note_name_no_account_that_the_caller_may_not_be_told_of() -> None:
    about_another = SignInNeeded("the identity of google: it is over", hint="aixtiv login google")
    refused, _ = await failure(about_another, call=hello(caller=ME))
    assert (type(refused), refused.sentence, refused.hint) == (
        SignInNeeded,
        f"the identity of {HIDDEN}: it is over",
        "",
    )
    told = replace(TOOL, accounts=("*",), allow=("relay", "list"))
    about_another = SignInNeeded("the identity of google: it is over", hint="aixtiv login google")
    refused, _ = await failure(about_another, call=hello(caller=ME), rule=(told,))
    assert (refused.sentence, refused.hint) == ("the identity of google: it is over", "aixtiv login google")


async def test_a_note_that_goes_with_an_answer_names_none_either() -> None:
    async with relaying(NOWHERE, rule=(TOOL,), access=NONE) as at:
        at.purse.names = {"anthropic", "google"}
        permits, passage = (
            Permits(Rules(Config(rule=(TOOL,), access=NONE)), cast("Accounts", at.purse)),
            Passage(hello(caller=ME)),
        )
        passage.account = "anthropic"
        pays = key(note="an API key pays for anthropic: the identity of google: it is over")
        quieted = permits.quieted(passage, pays)
        assert quieted.note == f"an API key pays for anthropic: the identity of {HIDDEN}: it is over"
        assert permits.quieted(passage, quieted) is quieted, "the relay compares credentials by what they are"


async def test_where_there_are_no_rules_nothing_is_asked_or_left_out() -> None:
    said = Refused("google said no", hint="aixtiv login google")
    async with relaying(NOWHERE, said) as at:
        with pytest.raises(Refused) as refused:
            await at.get(called("GET", "/v1/models"))  # its caller is known to nobody
        assert refused.value is said
