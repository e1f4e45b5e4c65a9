"""`aixtiv account` typed at a terminal of eighty columns: what is asked, and what is said of the outcome."""

import io
import sysconfig
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

from aixtiv import command
from aixtiv_protocol.replies import Account, AccountChanged, AccountList, Failure, Generation, GenerationList, LoggedOut
from aixtiv_protocol.requests import Accounts, Generations, Hello, Logout, Reinstate, Rename, Request
from peers.scripted import Said, ScriptedDaemon
from peers.terminal import Terminal

AIXTIV = f"{sysconfig.get_path('scripts')}/aixtiv"
WORK = Account(name="work", provider="github", kind="oauth", state="fresh", who="ada@example.org", generation=7)
KEPT = (
    Generation(number=7, current=True, made_at=1_795_000_000, renewable=True, who="ada.lovelace@example.org"),
    Generation(number=6, made_at=1_794_990_000, kept_until=1_795_086_400, renewable=True, spent=True, who="bob"),
    Generation(number=5, kept_until=1_795_086_300),
)


def script(request: Request) -> Iterable[Said]:
    match request:
        case Logout():
            yield LoggedOut(account=request.account, revoked=True)
        case Generations():
            yield GenerationList(account=request.account, generations=KEPT)
        case Rename():
            yield AccountChanged(account=WORK, note="the config says x in default-account: change it there")
        case Reinstate():
            yield AccountChanged(
                account=Account(
                    name="work",
                    provider="github",
                    kind="oauth",
                    state="failing",
                    problem="work: down",
                    hint="aixtiv refresh work",
                ),
                note="generation 5 counts again, as generation 8, and 7 is kept for a day; its refresh failed",
            )
        case Accounts():
            yield AccountList(accounts=(WORK,))
        case Hello():
            yield Failure(code="bad_request", message="no")
        case _:
            raise AssertionError(request)


def typed(folder: Path, *words: str) -> Terminal:
    environ = {"HOME": str(folder), "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock"), "NO_COLOR": "1"}
    return Terminal([AIXTIV, *words], environ, folder)


def test_before_an_account_is_removed_a_person_is_asked(folder: Path) -> None:
    with ScriptedDaemon(folder, script) as daemon:
        with typed(folder, "account", "remove", "work") as person:
            person.until("revoke work at its provider, and forget it with all that is kept of it? [y/N]: ")
            person.type("n\n")
            assert person.ended() == 1
            assert "nothing was changed" in person.shown
        assert not any(isinstance(one, Logout) for one in daemon.asked)
        with typed(folder, "account", "remove", "work") as person:
            person.until("[y/N]: ")
            person.type("y\n")
            assert person.ended() == 0
            assert "signed out of work here and at the provider" in person.shown
        assert any(isinstance(one, Logout) for one in daemon.asked)


def test_ctrl_c_at_a_question_ends_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ctrl_c(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.termui.visible_prompt_func", ctrl_c)
    monkeypatch.setattr("sys.stdin", Typing())
    assert command.run(["account", "remove", "work"]) == 130
    assert capsys.readouterr().err.endswith("\n")


class Typing(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_kept_fits_the_terminal(folder: Path) -> None:
    with ScriptedDaemon(folder, script), typed(folder, "account", "restore", "work", "--list") as person:
        assert person.ended() == 0
        lines = person.shown.splitlines()
    assert [line.split()[0] for line in lines] == ["number", "7", "6", "5"]
    assert all(len(line.rstrip()) < 80 for line in lines)
    assert lines[1].rstrip().endswith("there    it counts now")
    assert "spent" in lines[2]
    assert "none" in lines[3]


def test_what_came_back_and_is_not_good_is_a_failure_with_a_command(folder: Path) -> None:
    with ScriptedDaemon(folder, script), typed(folder, "account", "restore", "work") as person:
        assert person.ended() == 1
        assert person.shown.splitlines() == [
            "work: generation 5 counts again, as generation 8, and 7 is kept for a day; its",
            "  refresh failed",
            "aixtiv: error: work: down",
            "aixtiv: hint: aixtiv refresh work",
        ]


def test_what_the_config_says_of_the_old_name_is_noted(folder: Path) -> None:
    with ScriptedDaemon(folder, script), typed(folder, "account", "rename", "x", "work") as person:
        assert person.ended() == 0
        assert person.shown.splitlines() == [
            "x is called work now",
            "aixtiv: the config says x in default-account: change it there",
        ]


def test_which_account_is_used_here_is_seen_at_a_glance(folder: Path) -> None:
    (folder / ".aixtiv.toml").write_text('account = "work"\n')
    (folder / ".aixtiv.toml").chmod(0o644)
    with ScriptedDaemon(folder, script), typed(folder, "accounts") as person:
        assert person.ended() == 0
        assert [line.rstrip() for line in person.shown.splitlines()] == [
            "  account  kind     state  who              token",
            "* work     sign-in  fresh  ada@example.org  does not expire",
            "",
            "* work is used here: ~/.aixtiv.toml says so",
        ]


def listing(*accounts: Account) -> Callable[[Request], Iterable[Said]]:
    return lambda request: (AccountList(accounts=accounts),) if isinstance(request, Accounts) else script(request)


def test_the_table_of_accounts_fits_a_terminal_or_stands_below_each_other(folder: Path) -> None:
    soon = int(time.time()) + 7 * 3600 + 60
    work = msgspec.structs.replace(WORK, expires_at=soon, default=True)
    other = msgspec.structs.replace(work, name="work/second-of-a-rather-long-name", default=False)
    with ScriptedDaemon(folder, listing(work)), typed(folder, "accounts") as person:
        assert person.ended() == 0
        assert person.shown.splitlines()[1].rstrip() == "* work     sign-in  fresh  ada@example.org  7 h left"
    with ScriptedDaemon(folder, listing(work, other)), typed(folder, "accounts") as person:
        assert person.ended() == 0
        lines = [line.rstrip() for line in person.shown.splitlines()]
        assert "* work                               sign-in  fresh  ada@example.org  7 h left" in lines
    far = msgspec.structs.replace(other, who="somebody-with-a-long-name@research.example.org")
    with ScriptedDaemon(folder, listing(work, far)), typed(folder, "accounts") as person:
        assert person.ended() == 0
        lines = [line.rstrip() for line in person.shown.splitlines()]
        assert lines[:5] == ["* work", "    sign-in", "    fresh", "    ada@example.org", "    7 h left"]
        assert "  work/second-of-a-rather-long-name" in lines
        assert "    somebody-with-a-long-name@research.example.org" in lines


def test_generations_that_are_keys_are_said_to_be(folder: Path) -> None:
    keys = (Generation(number=2, current=True, made_at=1_795_000_000), Generation(number=1, kept_until=1_795_086_400))
    with (
        ScriptedDaemon(folder, lambda _: (GenerationList(account="work", generations=keys),)),
        typed(folder, "account", "restore", "work", "--list") as person,
    ):
        assert person.ended() == 0
        assert person.shown.count("an API key") == 2
