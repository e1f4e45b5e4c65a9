"""The whole command on its edges: pipes that close, foreign text, streams, and the daemon's words passed on."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec
import pytest

from aixtiv.commands import COMMANDS, OLD, aixtiv
from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret
from peers.commanded import ACCOUNT, AIXTIV, run, saying, telling
from peers.scripted import Said, ScriptedDaemon


def all_commands(group: click.Group = aixtiv, path: str = "") -> Iterable[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in [*group.list_commands(context), *(OLD if group is aixtiv else ())]:
        command = group.get_command(context, name)
        assert command, name
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


# What is printed is the API's, the command's, or in the form that a tool knows; a setup's result are files.
WITHOUT_JSON = {
    *("git-credential", "kubectl", "headers", "setup claude-desktop", "mcp add", "mcp remove"),
    *("claude api", "exec", "claude-key", "setup claude-code", "setup sdk-profile", "setup env"),
    *("completion", "service logs"),
}


@pytest.mark.parametrize(("name", "command"), list(all_commands()))
def test_every_command_has_json_and_help_for_each_option(name: str, command: click.Command) -> None:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert ("--json" in [word for option in options for word in option.opts]) == (name not in WITHOUT_JSON), name
    assert [option.name for option in options if not option.help and not option.hidden] == []
    assert command.help


@pytest.mark.parametrize(("name", "command"), [("", aixtiv), *all_commands()])
def test_help_fits_a_narrow_terminal(name: str, command: click.Command) -> None:
    help_text = command.get_help(click.Context(command, info_name=f"aixtiv {name}", terminal_width=58))
    assert [line for line in help_text.splitlines() if len(line) > 58] == []


def test_every_command_of_the_table_can_be_loaded() -> None:
    names = {name.split()[0] for name, _ in all_commands()}
    assert names == {name for section in COMMANDS.values() for name in section} | set(OLD)


def test_no_option_takes_a_secret_as_its_value() -> None:
    """Arguments stand in the process list."""
    for name, command in all_commands():
        for option in command.params:
            words = " ".join(option.opts)
            if any(word in words for word in ("secret", "key", "passphrase", "password")):
                assert isinstance(option, click.Option), name
                assert option.is_flag, name


def test_a_reader_that_has_gone_is_no_traceback(folder: Path) -> None:
    with ScriptedDaemon(folder, saying(replies.AccountList(accounts=(ACCOUNT,)))) as daemon:
        reader, writer = os.pipe()
        os.close(reader)
        environ = {"HOME": str(folder), "AIXTIV_SOCKET": str(daemon.path)}
        command = [AIXTIV, "accounts", "--json"]
        ran = subprocess.run(command, env=environ, stdout=writer, stderr=subprocess.PIPE, timeout=30, check=False)
        os.close(writer)
    assert (ran.stderr, ran.returncode) == (b"", 141)


def test_a_providers_words_cannot_drive_the_terminal(folder: Path) -> None:
    failure = replies.Failure(code="refused", message="\x1b]0;owned\x07 said no", hint="aixtiv \x1b[2Jlogin")
    with ScriptedDaemon(folder, saying(failure)):
        ran = run(folder, "refresh")
    assert "\x1b" not in ran.stderr
    assert "said no" in ran.stderr


@pytest.mark.parametrize("words", ["[/x]", "[link=https://evil.example]here[/link]", "[bold red]", ":skull:"])
@pytest.mark.parametrize("command", ["status", "accounts", "whoami"])
def test_a_providers_words_are_text_and_no_markup(folder: Path, command: str, words: str) -> None:
    account = replies.Account(
        name="work",
        provider="work",
        kind="oauth",
        state="failing",
        who=words,
        problem=words,
        scopes=(words,),
        default=True,
    )
    said: dict[str, replies.Reply] = {
        "status": replies.DaemonStatus(version="1", pid=1, started_at=1, locked=False, accounts=(account,)),
        "accounts": replies.AccountList(accounts=(account,)),
        "whoami": replies.AccountList(accounts=(account,)),
    }
    with ScriptedDaemon(folder, saying(said[command])):
        ran = run(folder, command)
    assert ran.returncode == 0, ran.stderr
    assert words in ran.stdout


def test_json_is_one_line_with_every_field_and_nothing_beside_it(folder: Path) -> None:
    with ScriptedDaemon(folder, saying(replies.LoggedOut(account="work", note="no revocation endpoint"))):
        ran = run(folder, "logout", "work", "--json")
    assert ran.stdout == '{"account":"work","revoked":false,"note":"no revocation endpoint","remains":false}\n'
    assert ran.stderr == ""


def test_events_come_as_they_happen_and_end_with_the_one_that_is_waited_for(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        yield replies.Event(event="refreshed", at=1.0, account="work", expires_at=2)
        yield replies.Event(event="sign-in-needed", at=2.0, account="work", detail="the grant is over")

    with ScriptedDaemon(folder, script):
        ran = run(folder, "watch", "--json", "--event", "sign-in-needed", "--once")
        first = run(folder, "watch", "--json", "--once")
    assert first.stdout == '{"event":"refreshed","at":1.0,"account":"work","detail":"","expires_at":2}\n'
    over = '{"event":"sign-in-needed","at":2.0,"account":"work","detail":"the grant is over","expires_at":0}\n'
    assert (ran.stdout, ran.stderr, ran.returncode) == (over, "", 0)


@pytest.mark.parametrize(
    ("active", "id_token", "state", "code", "hint"),
    [
        (True, "valid", "fresh", 0, ""),
        (None, "", "static", 0, ""),
        (False, "", "fresh", 3, "aixtiv refresh work"),
        (None, "invalid", "fresh", 3, "aixtiv login work"),
        (None, "", "quarantined", 3, "aixtiv login work"),
    ],
)
def test_the_exit_status_of_verify_is_the_verdict_and_a_bad_one_is_an_error_with_a_way_out(
    folder: Path, active: bool | None, id_token: replies.Verdict, state: replies.State, code: int, hint: str
) -> None:
    account = replies.Account(name="work", provider="work", kind="oauth", state=state)
    with ScriptedDaemon(folder, saying(replies.Verified(account=account, active=active, id_token=id_token))):
        for words in (["verify"], ["verify", "--json"]):
            ran = run(folder, *words)
            assert ran.returncode == code
            assert ran.stderr.startswith("aixtiv: error: ") is bool(code)
            assert ran.stderr.endswith(f"aixtiv: hint: {hint}\n") is bool(code)


def test_scopes_may_be_apart_by_blanks_and_must_not_be_empty(folder: Path) -> None:
    token = replies.AccessToken(account="work", access_token=Secret("made-up"))
    with ScriptedDaemon(folder, saying(token)) as daemon:
        run(folder, "token", "--scope", "a b", "--scope", "c")
        ran = run(folder, "token", "--scope", " ")
    assert daemon.asked == [requests.Token(scopes=("a", "b", "c"))]
    assert (ran.returncode, ran.stderr.endswith("aixtiv: hint: aixtiv token --help\n")) == (64, True)


def test_a_sign_in_to_nothing_in_particular_is_wrong_usage(folder: Path) -> None:
    missing = replies.Failure(code="no_account", message="no account was named", hint="aixtiv login github")
    with ScriptedDaemon(folder, saying(missing)):
        ran = run(folder, "login")
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (64, "aixtiv: hint: aixtiv login --help")


def test_whoami_has_the_daemons_words_for_an_account_that_is_not_there(folder: Path) -> None:
    missing = replies.Failure(code="no_account", message="there is no account wrok", hint="aixtiv token work")
    answers: dict[type[requests.Request], Said] = {requests.Accounts: replies.AccountList(accounts=())}
    with ScriptedDaemon(folder, lambda request: (answers.get(type(request), missing),)):
        ran = run(folder, "whoami")
    assert ran.stderr == "aixtiv: error: there is no account wrok\naixtiv: hint: aixtiv whoami work\n"
    assert ran.returncode == 1


def test_a_state_that_only_a_newer_daemon_knows_is_shown_as_it_is(folder: Path) -> None:
    account = {"re": "account", "name": "a", "provider": "p", "kind": "token", "state": "moony"}
    news = msgspec.msgpack.encode({"re": "accounts", "accounts": [account]})
    with ScriptedDaemon(folder, saying(len(news).to_bytes(4, "big") + news)):
        ran = run(folder, "accounts")
    assert "moony" in ran.stdout
    assert ran.returncode == 0


def test_what_login_is_told_reaches_the_daemon(folder: Path) -> None:
    words = "login company --provider p --issuer https://i --client-id c --client-secret --client-auth post"
    more = "--authorization-endpoint https://a --token-endpoint https://t --redirect-uri http://localhost:1/cb"
    last = "--scope one --scope two,three --port 4000 --replace --device-authorization-endpoint https://d -n --json"
    started = replies.SignInStarted(account="company", url="https://x/", redirect_uri="http://localhost:1/cb")
    with ScriptedDaemon(folder, saying(started)) as daemon:
        ran = run(folder, *f"{words} {more} {last}".split(), stdin="made-up-secret\n")
    assert daemon.asked == [
        requests.Login(
            account="company",
            provider="p",
            settings=requests.ClientSettings(
                issuer="https://i",
                client_id="c",
                client_secret=Secret("made-up-secret"),
                client_auth="post",
                authorization_endpoint="https://a",
                token_endpoint="https://t",
                redirect_uri="http://localhost:1/cb",
                device_authorization_endpoint="https://d",
            ),
            scopes=("one", "two", "three"),
            port=4000,
            replace=True,
            device="offered",
        )
    ]
    assert ran.returncode == 0
    assert ran.stdout.startswith('{"account":"company","url":"https://x/"')


def test_the_old_name_means_what_it_meant(folder: Path) -> None:
    started = replies.SignInStarted(account="anthropic", url="https://x/", redirect_uri="http://localhost:3000/")
    with ScriptedDaemon(folder, saying(started)) as daemon:
        words = ["auth:oauth2-login", "-p", "github", "-s", "repo user", "-n"]
        assert run(folder, *words, GITHUB_OAUTH_CLIENT_ID="mine").returncode == 0
    (asked,) = daemon.asked
    assert isinstance(asked, requests.Login)
    assert (asked.account, asked.scopes) == ("github", ("repo", "user"))
    assert asked.settings == requests.ClientSettings(
        client_id="mine", redirect_uri="http://localhost:3000/oauth/callback"
    )


@pytest.mark.parametrize(
    ("words", "stdin", "environ", "asked"),
    [
        ([], "http://l/?code=c&state=s\n", {"AIXTIV_ACCOUNT": "other"}, ("http://l/?code=c&state=s", "")),
        ([], "code#state\n", {}, ("code#state", "")),
        ([], "lone\n", {"AIXTIV_ACCOUNT": "other"}, ("lone", "other")),
        (["work"], "lone\n", {"AIXTIV_ACCOUNT": "other"}, ("lone", "work")),
        (["http://l/?code=c"], "", {}, ("http://l/?code=c", "")),
        (["work", "code#state"], "", {}, ("code#state", "work")),
    ],
)
def test_what_is_pasted_and_for_which_account(
    folder: Path, words: list[str], stdin: str, environ: dict[str, str], asked: tuple[str, str]
) -> None:
    with ScriptedDaemon(folder, saying(replies.SignedIn(account=ACCOUNT))) as daemon:
        assert run(folder, "callback", *words, stdin=stdin, **environ).returncode == 0
    assert daemon.asked == [requests.Callback(pasted=Secret(asked[0]), account=asked[1])]


def test_a_full_disk_behind_stdout_is_a_sentence(folder: Path) -> None:
    token = replies.AccessToken(account="work", access_token=Secret("made-up"))
    with ScriptedDaemon(folder, saying(replies.AccountList(accounts=(ACCOUNT,)))) as accounts:
        ended = into("/dev/full", accounts, "accounts")
    assert ended == (1, "aixtiv: error: the output cannot be written: No space left on device\n")
    with ScriptedDaemon(folder, saying(token)) as tokens:
        assert into("/dev/full", tokens, "token") == (1, "aixtiv: error: the token cannot be written to stdout\n")


def into(file: str, daemon: ScriptedDaemon, *words: str) -> tuple[int, str]:
    with Path(file).open("w") as out:
        environ = {"HOME": "/nowhere", "AIXTIV_SOCKET": str(daemon.path)}
        ran = subprocess.run([AIXTIV, *words], env=environ, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("words", ["accounts", "token", "unlock", "login work -n", "api-key set"])
def test_streams_that_are_closed_are_no_traceback(folder: Path, words: str) -> None:
    with ScriptedDaemon(folder, saying(replies.Failure(code="locked", message="no"))) as daemon:
        environ = {"HOME": str(folder), "AIXTIV_SOCKET": str(daemon.path), "AIXTIV_NO_START": "1"}
        shell = ["/bin/sh", "-c", f"exec {AIXTIV} {words} <&- >&-"]
        ran = subprocess.run(shell, env=environ, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert ran.stderr.startswith("aixtiv: error: ")
    assert ran.returncode in {6, 64}


@pytest.mark.parametrize("words", ["accounts", "accounts --json", "token work", "token work --json", "--help"])
def test_a_result_that_can_go_nowhere_is_an_error(folder: Path, words: str) -> None:
    token = replies.AccessToken(account="work", access_token=Secret("made-up"))
    answer = token if "token" in words else replies.AccountList(accounts=(ACCOUNT,))
    with ScriptedDaemon(folder, saying(answer)) as daemon:
        environ = {"HOME": str(folder), "AIXTIV_SOCKET": str(daemon.path), "AIXTIV_NO_START": "1"}
        shell = ["/bin/sh", "-c", f"exec {AIXTIV} {words} >&-"]
        ran = subprocess.run(shell, env=environ, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert ran.returncode == 1
    assert re.fullmatch(r"aixtiv: error: the (output|token) cannot be written[^\n]*\n", ran.stderr)


def test_a_locale_that_lacks_the_letters_is_no_traceback(folder: Path) -> None:
    account = replies.Account(name="work", provider="work", kind="oauth", state="fresh", who="ådå")
    with ScriptedDaemon(folder, saying(replies.AccountList(accounts=(account,)))):
        ran = run(folder, "accounts", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert (ran.returncode, "\\xe5d\\xe5" in ran.stdout) == (0, True)


def test_a_clock_that_is_off_is_shown_and_one_that_is_nearly_right_is_not(folder: Path) -> None:
    skews = {"id.example.org": -75.0, "good.example.org": 1.2}
    status = replies.DaemonStatus(version=VERSION, pid=1, started_at=1, locked=False, skews=skews, damaged=2, spilled=1)
    with ScriptedDaemon(folder, telling(status)):
        shown = run(folder, "status").stdout
    assert "clock    id.example.org is 75 seconds behind this machine" in shown
    assert "good.example.org" not in shown
    assert "2 records fail their seal" in shown
    assert "1 grant waits for room" in shown


def test_a_config_that_is_not_there_is_no_mystery(folder: Path) -> None:
    status = replies.DaemonStatus(version=VERSION, pid=1, started_at=1, locked=False, config=f"{folder}/config.toml")
    with ScriptedDaemon(folder, telling(status)):
        assert "config  ~/config.toml (not there; optional)\n" in run(folder, "status", "-v").stdout
        (folder / "config.toml").touch()
        assert "config  ~/config.toml\n" in run(folder, "status", "-v").stdout


def test_a_name_that_stands_there_is_not_said_again(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        yield replies.Event(event="failing", at=1.0, account="work", detail="work: the provider is away")
        raise EOFError

    with ScriptedDaemon(folder, script):
        assert run(folder, "watch").stdout.rstrip().endswith("failing         work  the provider is away")


def test_stopping_an_older_daemon_works_though_it_cannot_say_who_it_is(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        if isinstance(request, requests.Stop):
            return (replies.Done(),)
        return (replies.Failure(code="bad_request", message="no"),)

    with ScriptedDaemon(folder, script):
        ran = run(folder, "stop")
    assert (ran.stdout, ran.returncode) == ("stopped\n", 0)
