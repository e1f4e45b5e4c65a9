"""What only a terminal shows: prompts without echo, a paste while waiting, Ctrl-C, colours."""

import sysconfig
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret
from peers.commanded import keeping
from peers.scripted import Said, Script, ScriptedDaemon
from peers.terminal import Terminal

AIXTIV = f"{sysconfig.get_path('scripts')}/aixtiv"
URL = "https://id.example.org/authorize?state=made-up"
STARTED = replies.SignInStarted(account="work", url=URL, redirect_uri="http://127.0.0.1:4444/callback", port=4444)
ACCOUNT = replies.Account(
    name="work", provider="work", kind="oauth", state="fresh", who="ada@example.org", scopes=("a",)
)


class SignIn:
    """A daemon's side of a sign-in that is finished by pasting `right`, or by `come_back` as a browser would."""

    def __init__(self, right: str) -> None:
        self._right = Secret(right)
        self._done = threading.Event()

    def come_back(self) -> None:
        self._done.set()

    def script(self, request: requests.Request) -> Iterable[Said]:
        if isinstance(request, requests.Login):
            yield STARTED
            if not self._done.wait(20):
                raise EOFError
            yield replies.SignedIn(account=ACCOUNT)
            yield replies.End()
        elif isinstance(request, requests.Callback) and request.pasted == self._right:
            self._done.set()
            yield replies.SignedIn(account=ACCOUNT)
        else:
            yield replies.Failure(code="sign_in_failed", message="that address belongs to another sign-in", hint="x")


def terminal(folder: Path, *words: str, **environ: str) -> Terminal:
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock")}
    return Terminal([AIXTIV, *words], environment | environ, folder)


def test_an_address_is_pasted_while_the_command_waits(folder: Path) -> None:
    """Longer than the 4,096 bytes that a terminal's own line can be, and never shown."""
    right = f"http://127.0.0.1:4444/callback?code={'x' * 6000}&state=made-up"
    over_ssh = {"SSH_CONNECTION": "198.51.100.7 50000 203.0.113.9 22"}
    with ScriptedDaemon(folder, SignIn(right).script), terminal(folder, "login", "work", **over_ssh) as person:
        told = person.until("or paste its last address, or the code it shows (it stays hidden)")
        assert f"\n{URL}\n" in told
        assert "ssh -L 4444:127.0.0.1:4444" in told
        person.type("http://127.0.0.1:4444/callback?code=wrong\n")
        person.until("that address belongs to another sign-in")
        for piece in range(0, len(right), 1000):
            person.type(right[piece : piece + 1000])
        person.type("\n")
        told = person.until("signed in to work as ada@example.org")
        assert person.ended() == 0
    assert "code=" not in told
    assert "hint" not in told  # it goes on: nothing else is to be typed yet


def test_a_paste_that_ends_the_sign_in_is_told_once(folder: Path) -> None:
    over = replies.Failure(code="sign_in_failed", message="the provider did not take it", hint="aixtiv login work")
    pasted = threading.Event()

    def script(request: requests.Request) -> Iterable[Said]:
        if isinstance(request, requests.Login):
            yield STARTED
            pasted.wait(20)
        pasted.set()
        yield over

    with ScriptedDaemon(folder, script), terminal(folder, "login", "work") as person:
        person.until("(it stays hidden)")
        person.type("not-a-code\n")
        assert person.ended() == 1
        assert person.shown.count("the provider did not take it") == 1
        assert person.shown.count("aixtiv login work") == 1


def test_the_browser_comes_back_while_nothing_is_typed(folder: Path) -> None:
    sign_in = SignIn("")
    with ScriptedDaemon(folder, sign_in.script), terminal(folder, "login", "work", "--no-browser") as person:
        person.until("waiting at http://127.0.0.1:4444/callback for 10 minutes")
        sign_in.come_back()
        person.until("signed in to work")
        assert person.ended() == 0


def test_what_is_mistyped_can_be_taken_back(folder: Path) -> None:
    with ScriptedDaemon(folder, SignIn("right").script), terminal(folder, "login", "work") as person:
        person.until("(it stays hidden)")
        person.type("all wrong\x15rightt\x7f\n")
        person.until("signed in to work")


def test_ctrl_c_leaves_the_sign_in_open_and_says_how_to_finish_it(folder: Path) -> None:
    sign_in = SignIn("")
    with ScriptedDaemon(folder, sign_in.script), terminal(folder, "login", "work") as person:
        person.until("(it stays hidden)")
        person.type("\x03")
        assert "the sign-in stays open for 10 minutes" in person.until("aixtiv callback work")
        assert person.ended() == 130
        assert "Traceback" not in person.shown
        sign_in.come_back()  # the daemon finds its caller gone


def test_a_browser_that_does_not_open_is_said(folder: Path) -> None:
    sign_in = SignIn("")
    with ScriptedDaemon(folder, sign_in.script), terminal(folder, "login", "work", BROWSER="/bin/false %s") as person:
        assert "ssh -L" not in person.until("no browser could be opened here")
        sign_in.come_back()
        person.until("signed in to work")


def unlocking(*, new: bool, source: str = "passphrase") -> Script:
    def script(request: requests.Request) -> Iterable[Said]:
        if isinstance(request, requests.Status):
            yield replies.DaemonStatus(
                version=VERSION, pid=1, started_at=1, locked=True, new_store=new, key_source=source
            )
        else:
            yield replies.Done()

    return script


def test_a_passphrase_is_asked_for_and_not_shown(folder: Path) -> None:
    with ScriptedDaemon(folder, unlocking(new=False)) as daemon, terminal(folder, "unlock") as person:
        person.until("passphrase: ")
        person.type("correct horse\n")
        told = person.until("unlocked")
        assert person.ended() == 0
    assert "horse" not in told
    assert daemon.asked[-1] == requests.Unlock(passphrase=Secret("correct horse"))


def test_a_mistyped_passphrase_is_asked_for_again_and_not_for_ever(folder: Path) -> None:
    wrong = replies.Failure(code="key_failed", message="that passphrase is not the one", hint="aixtiv unlock")

    def script(request: requests.Request) -> Iterable[Said]:
        right = isinstance(request, requests.Unlock) and request.passphrase == Secret("right")
        return (wrong,) if isinstance(request, requests.Unlock) and not right else unlocking(new=False)(request)

    for last, status in (("right", 0), ("wrong", 6)):
        with ScriptedDaemon(folder, script), terminal(folder, "unlock") as person:
            for typed in ("wrong", "wrong", last):
                person.until("passphrase: ")
                person.type(f"{typed}\n")
            assert person.ended() == status
            assert person.shown.count("hint") == bool(status)


def test_a_new_passphrase_is_asked_for_twice(folder: Path) -> None:
    with ScriptedDaemon(folder, unlocking(new=True)) as daemon, terminal(folder, "unlock") as person:
        person.until("a passphrase for the vault: ")
        person.type("correct horse\n")
        person.until("the same again: ")
        person.type("correct mouse\n")
        person.until("the two are not the same")
        assert person.ended() == 64
    assert not any(isinstance(request, requests.Unlock) for request in daemon.asked)


def test_a_vault_with_another_key_source_is_tried_again_without_a_question(folder: Path) -> None:
    with ScriptedDaemon(folder, unlocking(new=False, source="keyring")) as daemon:
        with terminal(folder, "unlock") as person:
            person.until("unlocked")
        assert daemon.asked[-1] == requests.Unlock()


def test_an_api_key_is_asked_for_and_not_shown(folder: Path) -> None:
    with ScriptedDaemon(folder, keeping(ACCOUNT)) as daemon:
        with terminal(folder, "api-key", "set", "claude") as person:
            person.until("API key for claude: ")
            person.type("made-up-key\n")
            assert "made-up" not in person.until("sealed the API key of work")
        assert daemon.asked[1:] == [requests.ApiKey(account="claude", key=Secret("made-up-key"))]


def test_ctrl_c_at_a_prompt_is_no_traceback(folder: Path) -> None:
    with ScriptedDaemon(folder, unlocking(new=False)), terminal(folder, "unlock") as person:
        person.until("passphrase: ")
        person.type("\x03")
        assert person.ended() == 130
        assert "Traceback" not in person.shown


def test_ctrl_c_in_the_fast_lane_is_no_traceback(folder: Path) -> None:
    asked = threading.Event()

    def script(request: requests.Request) -> Iterable[Said]:
        asked.set()
        return ()

    with ScriptedDaemon(folder, script), terminal(folder, "token") as person:
        assert asked.wait(20)
        person.type("\x03")
        assert person.ended() == 130
        assert person.shown.strip() == "^C"


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals_that_want_them(folder: Path, environ: dict[str, str], *, coloured: bool) -> None:
    quarantined = replies.Account(name="work", provider="work", kind="oauth", state="quarantined")
    with ScriptedDaemon(folder, lambda request: (replies.AccountList(accounts=(quarantined,)),)):
        with terminal(folder, "accounts", **environ) as person:
            assert person.ended() == 0
        assert ("\x1b[" in person.shown) is coloured


def test_nothing_is_wider_than_the_terminal(folder: Path) -> None:
    words = "the provider says that " * 20
    account = replies.Account(
        name="company/a-rather-long-name", provider="x", kind="oauth", state="failing", problem=words, who="a" * 100
    )
    status = replies.DaemonStatus(version=VERSION, pid=1, started_at=1, locked=False, accounts=(account,))
    answers: dict[type[requests.Request], Said] = {
        requests.Hello: replies.Welcome(version=VERSION, protocol=1, ops=()),
        requests.Status: status,
        requests.Accounts: replies.AccountList(accounts=(account,)),
        requests.Verify: replies.Failure(code="refused", message=words.strip()),
        requests.Watch: replies.Event(event="failing", at=1.0, account=account.name, detail=words.strip()),
    }

    with ScriptedDaemon(folder, lambda request: (answers[type(request)],)):
        for command in ("status", "accounts", "verify", "watch --once"):
            with terminal(folder, *command.split(), NO_COLOR="1") as person:
                person.ended()
            assert max(map(len, person.shown.splitlines())) <= 80
