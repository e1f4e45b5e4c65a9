"""`aixtiv status`, drawn: what is seen of each state at each width, and what a pipe gets."""

import io

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from aixtiv.failures import Denied
from aixtiv.glance import Seen, view
from aixtiv_protocol.replies import Account, DaemonStatus

NOW = 1_800_000_000
PROBLEM = "id.example.org answers 503, and says nothing that could be understood"


def lasting(name: str, state: str, left: int, whole: int = 3600, **fields: object) -> Account:
    """With a token that was issued for `whole` seconds, of which `left` are left."""
    start = NOW + left - whole
    account = Account(name=name, provider="x", kind="oauth", state=state, expires_at=NOW + left, refreshed_at=start)  # type: ignore[arg-type]  # any state
    return replace(account, **fields)


FRESH = lasting("anthropic", "fresh", 3000, next_refresh=NOW + 2000, default=True)
FAILING = lasting("company", "failing", 500, next_refresh=NOW + 40, problem=f"company: {PROBLEM}", hint="aixtiv doctor")
OVER = lasting("github", "quarantined", -7200, problem="the sign-in is over", hint="aixtiv login github")
KEY = Account(name="keys", provider="x", kind="api-key", state="static", key=True)
LONG = lasting("google/ada.lovelace@department.example.org", "due", 100)
DAEMON = DaemonStatus(version="1.2.3", pid=7, started_at=NOW - 7200, locked=False, key_source="file")


def drawn(
    daemon: DaemonStatus, width: int = 120, *, pipe: bool = False, encoding: str = "utf-8", verbose: bool = False
) -> str:
    """Without colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(
        file=file, width=1000 if pipe else width, force_terminal=not pipe, color_system=None, markup=False, emoji=False
    )
    with console.capture() as text:
        console.print(view(Seen(daemon), now=NOW, verbose=verbose))
    return "\n".join(line.rstrip() for line in text.get().splitlines())


def test_an_account_is_one_line_with_a_bar_and_what_comes() -> None:
    lines = drawn(replace(DAEMON, accounts=(FRESH,))).splitlines()
    bar = "█" * 17 + "░" * 3
    assert lines[-1] == f"anthropic (default)  sign-in  fresh  {bar}  50 min left, refreshes in 33 min"


@pytest.mark.parametrize(("left", "full"), [(3600, 10), (3599, 10), (1801, 6), (1, 1), (0, 0), (-5, 0), (9999, 10)])
def test_a_bar_is_as_long_as_the_life_that_is_left_and_never_empty_before_the_end(left: int, full: int) -> None:
    shown = drawn(replace(DAEMON, accounts=(lasting("work", "fresh", left),)), 80)
    if left <= 3600:
        assert (shown.count("█"), shown.count("░")) == (full, 10 - full)
    whole = replace(lasting("work", "fresh", left), refreshed_at=NOW, signed_in_at=0)
    assert drawn(replace(DAEMON, accounts=(whole,)), 80).count("█") == (10 if left > 0 else 0)


def test_where_the_whole_life_is_not_known_there_is_no_bar() -> None:
    unknown = replace(FRESH, refreshed_at=0, signed_in_at=0, expires_at=0)
    shown = drawn(replace(DAEMON, accounts=(unknown, KEY)))
    assert "█" not in shown
    assert "░" not in shown
    assert shown.count("no expiry") == 2


def test_what_went_wrong_and_the_command_that_mends_it_stand_below_without_the_name_once_more() -> None:
    lines = drawn(replace(DAEMON, accounts=(FAILING, OVER))).splitlines()
    assert lines[-6].endswith("8 min left, tries again in 40 s")
    assert lines[-5:-3] == [f"    {PROBLEM}", "    hint: aixtiv doctor"]
    assert lines[-3].endswith("expired 2 h ago")
    assert lines[-2:] == ["    the sign-in is over", "    hint: aixtiv login github"]


def test_several_accounts_are_counted_and_one_is_not() -> None:
    shown = drawn(replace(DAEMON, accounts=(OVER, FAILING, FRESH, KEY, replace(FRESH, name="b"))))
    assert "accounts  5: 2 fresh, 1 static, 1 failing, 1 quarantined\n" in shown
    assert "accounts  " not in drawn(replace(DAEMON, accounts=(FRESH,)))


def test_a_state_that_this_version_does_not_know_is_shown() -> None:
    odd = replace(FRESH, state="resting")
    assert "2: 2 resting" in drawn(replace(DAEMON, accounts=(odd, odd)))


@pytest.mark.parametrize("width", [200, 120, 80, 60, 40, 20])
def test_nothing_is_wider_than_the_terminal_and_no_fact_is_left_out(width: int) -> None:
    accounts = (FRESH, FAILING, OVER, KEY, LONG, replace(LONG, name="漢字" * 30, state="fresh"))
    shown = drawn(replace(DAEMON, accounts=accounts, spilled=2, damaged=1), width)
    assert max(map(cell_len, shown.splitlines())) <= width
    words = " ".join(shown.split())
    facts = [
        "50 min left",
        "refreshes in 33 min",
        "tries again in 40 s",
        "expired 2 h ago",
        "hint: aixtiv login github",
    ]
    assert [fact for fact in facts if fact not in words] == []
    assert LONG.name in shown.replace("\n", "")


@pytest.mark.parametrize(("width", "bars"), [(120, True), (80, True), (60, True), (40, False)])
def test_bars_are_there_as_long_as_they_fit(width: int, *, bars: bool) -> None:
    assert ("█" in drawn(replace(DAEMON, accounts=(FRESH, FAILING, OVER)), width)) is bars


def test_a_hundred_accounts_are_a_hundred_lines() -> None:
    accounts = tuple(replace(FRESH, name=f"account-{number}", default=False) for number in range(100))
    assert len(drawn(replace(DAEMON, accounts=accounts), 80).splitlines()) == 100 + 5


def test_a_pipe_gets_the_hour_and_no_bar_and_the_name_on_the_same_line() -> None:
    shown = drawn(replace(DAEMON, accounts=(FRESH, LONG)), pipe=True)
    assert "█" not in shown
    assert "(50 minutes left), refreshes in 33 minutes\n" in shown
    assert shown.splitlines()[-1].startswith(f"{LONG.name}  sign-in  due    ")


def test_a_terminal_without_the_letters_gets_others() -> None:
    shown = drawn(replace(DAEMON, accounts=(FRESH,)), 80, encoding="ascii")
    assert "#########.  50 min left" in shown
    assert shown.isascii()


def test_a_providers_words_cannot_drive_the_terminal() -> None:
    evil = replace(FAILING, name="\x1b[2J", problem="[bold]\x1b]0;x\x07", hint="\x9b", endpoint="\x1b", state="\x1b[3m")
    shown = drawn(replace(DAEMON, accounts=(evil, evil), lock_reason="\x1b", notice_problem="\x1b[1m"))
    assert "[bold]" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "daemon 1.2.3, running for 2 hours (pid 7)"),
        ({"manager": "systemd"}, "daemon 1.2.3, running for 2 hours (pid 7), started by systemd"),
        ({"key_reason": "it is told to"}, "key file: it is told to"),
        ({"locked": True, "lock_reason": "on request"}, "vault locked: on request"),
        ({"locked": True, "new_store": True}, "vault locked: its passphrase is still to be chosen"),
        ({"damaged": 1}, "damaged 1 record fails its seal; kept, and not used"),
        ({"spilled": 2}, "unsaved 2 grants wait for room on the disk"),
        ({"audit_problem": "the disk is full"}, "audit log the disk is full"),
        ({"gateway_problem": "the port is taken"}, "gateway the port is taken"),
        ({"notice_problem": "no desktop answers"}, "notices no desktop answers"),
        ({"skews": {"id.example.org": -42.0}}, "clock id.example.org is 42 seconds behind this machine"),
    ],
)
def test_what_there_is_to_say_of_the_daemon_is_a_line(fields: dict[str, object], line: str) -> None:
    lines = [" ".join(shown.split()) for shown in drawn(replace(DAEMON, **fields)).splitlines()]
    assert line in lines


def test_a_skew_that_does_not_matter_is_not_told() -> None:
    assert "clock" not in drawn(replace(DAEMON, skews={"id.example.org": 4.9}))


def test_without_an_account_the_next_command_is_said_but_not_while_locked() -> None:
    assert drawn(DAEMON).endswith("no account yet\nhint: aixtiv login NAME")
    assert "no account" not in drawn(replace(DAEMON, locked=True))


def test_why_a_rule_shows_no_account_is_said() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    with console.capture() as text:
        console.print(view(Seen(DAEMON, Denied("no rule lets you", hint="aixtiv access explain")), now=NOW))
    assert text.get().endswith("no account is shown: no rule lets you\nhint: aixtiv access explain\n")


def test_where_its_files_are_is_told_on_request() -> None:
    there = replace(DAEMON, store="/s.db", config="/none.toml", socket="/a.sock", gateway="/c.sock", gateway_port=27823)
    assert "/s.db" not in drawn(there)
    lines = [line.split(None, 1) for line in drawn(there, verbose=True).splitlines()]
    assert ["store", "/s.db"] in lines
    assert ["config", "/none.toml (not there; optional)"] in lines
    assert ["socket", "/a.sock"] in lines
    assert ["gateway", "/c.sock and 127.0.0.1:27823"] in lines
