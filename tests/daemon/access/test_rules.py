"""Which rule decides, and what follows: tables, and properties of the wildcard."""

import os
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aixtivd.access.caller import DAEMON, Caller, described
from aixtivd.access.rules import HIDDEN, RIGHTS, Rules, below, fits
from aixtivd.access.ticket import Held
from aixtivd.config import AccessConfig, Config, Rule, Who
from aixtivd.errors import NotAllowed

BACKUP = Who(unit="backup.service")


def me(**known: str) -> Caller:
    """This process, which lives, as if that were known of it and nothing else."""
    unknown = {"executable": "", "script": "", "unit": "", "cgroup": ""}
    return replace(described(os.getpid()), **(unknown | known))


def rules(*those: Rule, **access: Any) -> Rules:
    return Rules(Config(rule=those, access=AccessConfig(**access)))


def refusal(of: Rules, caller: Caller, right: Any, account: str, path: str = "") -> NotAllowed:
    with pytest.raises(NotAllowed) as refused:
        of.check(caller, right, account, path)
    return refused.value


def test_without_rules_everybody_of_this_user_may_do_everything_and_nobody_is_looked_at() -> None:
    none = rules()
    assert not none.any
    gone = Caller(uid=1, pid=0, executable="/usr/bin/gone")  # of whom `unchanged` would say no
    for right in RIGHTS:
        none.check(gone, right, "github")
    assert none.verdict(gone, "github").rights == RIGHTS


@pytest.mark.parametrize(
    "config",
    [
        Config(rule=(Rule(),)),
        Config(access=AccessConfig(relay_only=("a",))),
        Config(access=AccessConfig(default=("list",))),
    ],
)
def test_any_word_about_access_is_heeded(config: Config) -> None:
    assert Rules(config).any


def test_the_first_rule_that_fits_caller_and_account_decides_all_rights() -> None:
    those = rules(
        Rule(who=BACKUP, accounts=("github",), allow=("relay",)),
        Rule(who=BACKUP, allow=("list",)),
        Rule(accounts=("github",), allow=("token",)),
        default=(),
    )
    backup, other = me(unit="backup.service"), me(unit="editor.service")
    told = [
        (those.verdict(caller, account).rule, those.verdict(caller, account).rights)
        for caller in (backup, other)
        for account in ("github", "anthropic", "")
    ]
    assert told == [(1, ("relay",)), (2, ("list",)), (2, ("list",)), (3, ("token",)), (0, ()), (0, ())]
    those.check(backup, "relay", "github")
    assert refusal(those, backup, "token", "github").sentence == (
        "rule 1 does not let an unknown program in backup.service have the token of github"
    )
    assert "no rule is about it, and the default does not let" in refusal(those, other, "list", "").sentence


@pytest.mark.parametrize(
    ("who", "fitting"),
    [
        (Who(), True),
        (Who(unit="backup.service"), True),
        (Who(unit="backup.*"), True),
        (Who(unit="Backup.service"), False),
        (Who(unit="backup.servic"), False),
        (Who(executable="/usr/bin/python3.11"), True),
        (Who(executable="/usr/bin/*"), True),
        (Who(executable="/usr/bin/python3.1?"), False),
        (Who(executable="/usr/bin/python3.1[1]"), False),
        (Who(executable="/usr/bin"), False),
        (Who(script="*/backup.py"), True),
        (Who(cgroup="/user.slice/*"), True),
        (Who(cgroup="/user.slice"), False),
        (Who(unit="backup.service", executable="/usr/bin/python3.11", script="/opt/backup.py"), True),
        (Who(unit="backup.service", executable="/bin/sh"), False),
    ],
)
def test_whatever_a_rule_says_of_somebody_has_to_fit(who: Who, fitting: bool) -> None:
    caller = me(
        unit="backup.service",
        executable="/usr/bin/python3.11",
        script="/opt/backup.py",
        cgroup="/user.slice/app/backup.service",
    )
    assert rules(Rule(who=who)).verdict(caller, "github").rule == int(fitting)


@pytest.mark.parametrize("field", ["unit", "executable", "script", "cgroup"])
def test_what_cannot_be_found_out_fits_no_rule_about_it(field: str) -> None:
    those = rules(Rule(who=Who(**{field: "*"})), Rule(who=Who(**{field: "*"}), accounts=("github",)))
    assert those.verdict(me(), "github").rule == 0
    assert those.verdict(me(**{field: "x"}), "github").rule == 1


def test_a_rule_about_accounts_is_not_about_what_is_of_none() -> None:
    those = rules(Rule(accounts=("github", "anthropic/*"), allow=("manage",)), default=())
    assert [those.verdict(me(), name).rule for name in ("github", "anthropic/work", "anthropic", "")] == [1, 1, 0, 0]
    assert refusal(those, me(), "manage", "").sentence.endswith("manage aixtiv")


def test_a_relay_only_account_shows_its_token_to_nobody_whatever_a_rule_allows() -> None:
    those = rules(Rule(allow=RIGHTS), relay_only=("anthropic", "work/*"))
    assert (
        refusal(those, me(), "token", "anthropic").sentence == "anthropic is relay-only: its token is shown to nobody"
    )
    assert refusal(those, me(), "token", "work/a").hint == f"aixtiv access explain --pid {os.getpid()} work/a"
    assert those.verdict(me(), "anthropic").rights == ("list", "relay", "manage")
    those.check(me(), "relay", "anthropic")
    those.check(me(), "token", "anthropic2")


def test_paths_are_compared_by_whole_segments() -> None:
    those = rules(Rule(allow=("relay",), paths=("/v1/messages", "/v1/files/")))
    for path in ("/v1/messages", "/v1/messages/", "/v1/messages/batches", "/v1/files", "/v1/files/x"):
        those.check(me(), "relay", "anthropic", path)
    for path in ("/v1/messages2", "/v1/message", "/v1", "/", "/V1/messages", "/v1/filesystem"):
        refused = refusal(those, me(), "relay", "anthropic", path)
        assert refused.sentence == "rule 1 lets an unknown program call /v1/messages and /v1/files/ alone"
    assert those.verdict(me(), "anthropic").paths == ("/v1/messages", "/v1/files/")
    assert below("/anything", ())


def test_a_process_that_has_changed_since_it_connected_is_not_believed() -> None:
    """Whichever way its rule would have decided: what it was may be what kept it from more."""
    those = rules(Rule(who=BACKUP, allow=("relay",)), Rule(accounts=("open",), allow=("token",)), default=("token",))
    changed = replace(me(unit="backup.service"), mark="another image of the same process")
    other = replace(me(unit="editor.service"), mark="another image of the same process")
    for caller, account in ((changed, "github"), (other, "github"), (other, "open")):
        assert "runs another program now" in refusal(those, caller, "token", account).sentence
    with pytest.raises(NotAllowed, match="no rule can be sure of it"):
        those.be_sure(changed)


def test_where_no_rule_on_the_way_is_about_somebody_nobody_has_to_be_believed() -> None:
    those = rules(
        Rule(accounts=("open",), allow=("token",)), Rule(who=BACKUP, accounts=("github",)), default=("token",)
    )
    changed = replace(me(unit="x.service"), mark="another")
    those.check(changed, "token", "open")
    those.check(changed, "token", "unnamed")
    refusal(those, changed, "token", "github")
    rules(Rule(accounts=("open",))).be_sure(changed)


def test_of_whom_nothing_is_known_only_rules_about_everybody_are_asked() -> None:
    """On a Mac, or an `aixtiv` whose parent has ended: it gets what a stranger gets, not an answer for ever no."""
    those = rules(Rule(who=BACKUP, allow=("token",)), default=("list",))
    stranger = Caller(uid=os.geteuid(), pid=4711)
    those.check(stranger, "list", "github")
    refusal(those, stranger, "token", "github")


def test_a_ticket_can_do_what_its_maker_may_whoever_shows_it() -> None:
    those = rules(Rule(who=BACKUP, allow=("relay",)), default=())
    held = Held(id="t1", account="github", verbs=("relay",), unit="backup.service", executable="/usr/bin/restic")
    shown = held.shown_by(Caller(uid=os.geteuid(), pid=0))  # over TCP
    those.check(shown, "relay", "github")
    assert refusal(those, shown, "token", "github").sentence == (
        "rule 1 does not let a ticket made by /usr/bin/restic in backup.service have the token of github"
    )
    assert refusal(those, shown, "token", "github").hint == "aixtiv access explain github"
    stolen = Held(id="t2", account="github", verbs=("relay",), unit="x.service").shown_by(me(unit="backup.service"))
    refusal(those, stolen, "relay", "github")
    those.reconfigure(Config(access=AccessConfig(default=())))
    refusal(those, shown, "relay", "github")


def test_a_sentence_repeats_nothing_that_may_be_a_secret_or_drive_a_terminal() -> None:
    those = rules(default=())
    for typed in ("sk-ant-api03-hunter2-hunter2-hunter2", "a\x1b[2Jb", "hunter two", "x" * 1000):
        refused = refusal(those, me(script="\x1b[2J" + "s" * 5000, executable="/bin/x"), "token", typed)
        assert "hunter" not in refused.sentence + refused.hint
        assert refused.sentence.isprintable()
        assert len(refused.sentence) < 400
        assert "that account" in refused.sentence


def test_accounts_that_may_not_be_told_of_are_named_in_no_sentence() -> None:
    those = rules(Rule(accounts=("mine", "typed"), allow=("list",)), Rule(accounts=("typed",)), default=())
    names = {"mine", "typed", "hidden", "odd.", "hidden/work", "identity.google.com"}

    def told(text: str) -> str:
        return those.without_names(text, me(), "named", names.__contains__)

    assert told("there is no account named; there is hidden.") == f"there is no account named; there is {HIDDEN}."
    assert told("odd. is odd, and odd.. too") == f"{HIDDEN} is odd, and {HIDDEN}. too"
    assert told("hidden/work, hidden and mine") == f"{HIDDEN}, {HIDDEN} and mine"
    assert told("api.hidden.com is no name, and unhidden not") == "api.hidden.com is no name, and unhidden not"
    assert told("the identity of identity.google.com: x") == f"the identity of {HIDDEN}: x"


def test_what_a_program_calls_itself_is_no_question_about_accounts() -> None:
    """A denial repeats the script's name: full of guesses, those that are there would be the ones left out."""
    those = rules(Rule(accounts=("hidden*",)), default=("list",))
    guesses = "alpha hiddenbank github"
    known = {"hiddenbank", "github"}.__contains__
    forbidden = Rule(accounts=("hidden*",))
    for right, first in (("token", forbidden), ("relay", replace(forbidden, allow=("relay",), paths=("/v1/x",)))):
        those.reconfigure(Config(rule=(first,)))
        refused = refusal(those, me(script=guesses, unit="x.service"), right, "hiddenbank", "/v1/y").sentence
        told = those.without_names(refused, me(script=guesses, unit="x.service"), "", known)
        assert guesses in told
        assert not told.endswith("of hiddenbank")
    said = "the identity of hiddenbank let us down"
    for script in ("hiddenbank", "h", "t us down"):
        assert HIDDEN in those.without_names(said, me(script=script), "", known), "it unmasks nothing"


def test_the_daemon_itself_is_not_asked_by_name() -> None:
    """Its own work asks no rule; should it ever, it is a stranger like every other."""
    refusal(rules(Rule(who=Who(executable="*"), allow=RIGHTS), default=()), DAEMON, "token", "github")


LETTERS = st.text(alphabet="ab*/", max_size=12)


@given(LETTERS, LETTERS)
def test_a_star_stands_for_any_characters_and_nothing_else_does(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text, re.DOTALL)
    assert fits(pattern, text) == bool(expected)


@given(st.text(), st.text(max_size=5), st.text(max_size=5))
def test_only_the_star_is_special(text: str, before: str, behind: str) -> None:
    plain = text.replace("*", "")
    assert fits(plain, plain)
    assert fits("*", text)
    assert fits(f"{plain}*", plain + behind)
    assert fits(f"*{plain}", before + plain)
    assert fits(f"*{plain}*", before + plain + behind)
    assert not fits(plain, plain + "x")


def test_what_was_decided_is_remembered_within_bounds_and_until_the_rules_change() -> None:
    base = me()
    those = rules(Rule(who=Who(script="/s*"), accounts=("a*",), allow=("list",)), default=())
    for number in range(4500):
        caller = replace(base, script=f"/s{number}")
        assert (those.lists(caller, "a"), those.lists(caller, "b")) == (True, False)
    those.lists(me(script="/s" + "x" * 4000), "a" * 60_000)
    kept = those._decided
    assert len(kept) <= 2000
    assert max(sum(map(len, asked)) for asked in kept) <= 1000
    those.reconfigure(Config(rule=(Rule(accounts=("a",)),)))
    assert not those.lists(me(script="/s4499"), "a")


def test_no_caller_can_make_a_pattern_slow() -> None:
    """A script's name is 4 KiB of whatever it likes: what a backtracking matcher would never come to the end of."""
    assert not fits("a*" * 40 + "b", "a" * 4096)
