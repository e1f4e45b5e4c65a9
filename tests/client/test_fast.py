"""The fast lane: the same bytes as the codec, nothing imported, and whatever it does not know left alone."""

import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv import fast
from aixtiv_protocol import codec
from aixtiv_protocol.replies import AccessToken, Failure, Reply, TicketMade
from aixtiv_protocol.requests import Request, Ticket, Token
from aixtiv_protocol.secret import Secret
from peers.scripted import Said, Script, ScriptedDaemon

AIXTIV = f"{sysconfig.get_path('scripts')}/aixtiv"
TOKEN = "made-up-access-token"

# What may be loaded when a token has been printed: the interpreter's own start, and these.
LIGHT = {
    "aixtiv",
    "aixtiv.entry",
    "aixtiv.fast",
    "aixtiv.place",
    "aixtiv_protocol",
    "aixtiv_protocol.names",
    "aixtiv_protocol.where",
    "_socket",
}


def tokens(request: Request) -> Iterable[Said]:
    assert isinstance(request, Token)
    yield AccessToken(account=request.account, access_token=Secret(TOKEN))


def tickets(request: Request) -> Iterable[Said]:
    assert isinstance(request, Ticket)
    yield TicketMade(ticket=Secret(TOKEN), id="t1", account=request.account or "anthropic", verbs=("relay",))


def run(*words: str, at: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(at), "AIXTIV_SOCKET": str(at / "aixtiv/aixtiv.sock"), "AIXTIV_NO_START": "1"} | environ
    command = [AIXTIV, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300).filter(
    lambda name: not name.startswith("--account=")
)
agents = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)  # 240 bytes
whole_numbers = st.integers(0, 999_999_999)
seconds = st.one_of(
    st.integers(0, 3600).map(str),
    st.floats(0, 3600, allow_nan=False).map(lambda number: f"{number:.4f}"),
)


@given(names, whole_numbers, seconds, agents)
def test_the_hand_made_frame_is_what_the_codec_would_have_written(
    name: str, min_ttl: int, wait: str, agent: str
) -> None:
    asked = fast.understood([*([name] if name else []), "--min-ttl", str(min_ttl), f"--wait={wait}"])
    if asked is None:
        assert name.startswith("-") or len(name.encode()) > 255 or len(wait) > 9 or "=" in name
    else:
        request = Token(account=name, min_ttl=min_ttl, wait=float(wait), form="bare", agent=agent)
        assert fast.frame(*asked, agent) == codec.encode_request(request)


def test_the_shortest_frame_is_the_codecs() -> None:
    assert fast.frame("", 0, None) == codec.encode_request(Token(form="bare"))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 999_999_999])
def test_every_width_of_a_number_is_the_codecs(number: int) -> None:
    assert fast.frame("", number, None) == codec.encode_request(Token(min_ttl=number, form="bare"))


@pytest.mark.parametrize("size", [1, 31, 32, 255])
def test_every_width_of_a_name_is_the_codecs(size: int) -> None:
    name = "é" * (size // 2) + "a" * (size % 2)
    assert fast.frame(name, 0, None) == codec.encode_request(Token(account=name, form="bare"))


@pytest.mark.parametrize(
    "words",
    [
        ["--json"],
        ["--help"],
        ["-h"],
        ["a", "b"],
        [""],
        ["--min-ttl"],
        ["--min-ttl", "-1"],
        ["--min-ttl", "1.5"],
        ["--min-ttl", "٣"],
        ["--min-ttl", "1_000"],
        ["--min-ttl", "9999999999"],
        ["--wait", "nan"],
        ["--wait", "1e3"],
        ["--wait", "3600.1"],
        ["--wait", "5."],
        ["--scope", "a"],
        ["--", "-name"],
        ["--account"],
        ["--account="],
        ["--account", "-x"],
        ["--account", "a", "b"],
        ["a", "--account=b"],
        ["a" * 256],
        ["\udcff"],
    ],
)
def test_whatever_else_is_typed_is_left_to_the_whole_command(words: list[str]) -> None:
    assert fast.understood(words) is None


def test_the_account_is_the_argument_or_the_option() -> None:
    for words in (["github"], ["--account", "github"], ["--account=github"]):
        assert fast.understood(words) == ("github", 0, None)
    assert fast.understood([]) == ("", 0, None)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=70_000))
def test_a_bare_token_of_any_length_is_read(token: str) -> None:
    body = codec.encode_bare(Secret(token), "frames")[codec.HEAD :]
    assert fast.text(body) == token.encode()


@given(st.binary(max_size=40))
def test_no_answer_whatever_it_holds_is_printed_unless_it_is_one_whole_string(body: bytes) -> None:
    token = fast.text(body)
    assert token is None or codec.encode_bare(Secret("x" * len(token)), "frames")[codec.HEAD :][-1:] == b"x"
    if token is not None:
        assert body.endswith(token)
        assert body[0] in {*range(0xA1, 0xC0), 0xD9, 0xDA, 0xDB}


def test_a_refusal_is_never_taken_for_a_token() -> None:
    refused = codec.encode_reply(Failure(code="locked", message="the vault is locked"), "frames")
    assert fast.text(refused[codec.HEAD :]) is None


@given(names.filter(lambda name: len(name.encode()) < 256), agents)
def test_the_hand_made_frame_of_a_ticket_is_the_codecs(name: str, agent: str) -> None:
    asked = Ticket(account=name, ttl=fast.KEY_LIFE, holder="none", name="claude-key", agent=agent)
    assert fast.key_frame(name, agent) == codec.encode_request(asked)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=300), st.text(max_size=40))
def test_a_ticket_is_read_whatever_stands_behind_it(secret: str, account: str) -> None:
    made = TicketMade(ticket=Secret(secret), id="1", account=account, verbs=("relay",), expires_at=7, base_url=account)
    assert fast.ticket(codec.encode_reply(made, "frames")[codec.HEAD :]) == secret.encode()


@given(st.binary(max_size=40))
def test_nothing_but_a_ticket_is_taken_for_one(body: bytes) -> None:
    assert fast.ticket(body) is None


@pytest.mark.parametrize(
    "reply", [Failure(code="locked", message="ticket"), AccessToken(account="a", access_token=Secret("ticket"))]
)
def test_no_other_reply_is_taken_for_a_ticket(reply: Reply) -> None:
    assert fast.ticket(codec.encode_reply(reply, "frames")[codec.HEAD :]) is None


@pytest.mark.parametrize("words", [[], ["anthropic/work"]])
def test_claude_key_prints_a_ticket_and_nothing_else(folder: Path, words: list[str]) -> None:
    with ScriptedDaemon(folder, tickets) as daemon:
        ran = run("claude-key", *words, at=folder, AIXTIV_AGENT_ID="a7")
    assert (ran.stdout, ran.stderr, ran.returncode) == (f"{TOKEN}\n", "", 0)
    assert daemon.asked == [Ticket(account="".join(words), ttl=3600, holder="none", name="claude-key", agent="a7")]


@pytest.mark.parametrize("words", [["--help"], ["a", "b"], [""], ["-"], ["a" * 256]])
def test_claude_key_leaves_whatever_else_is_typed_to_the_whole_command(words: list[str]) -> None:
    assert fast.serve_key(words) == b""


def test_it_prints_the_token_and_a_newline_and_nothing_else(folder: Path) -> None:
    with ScriptedDaemon(folder, tokens) as daemon:
        ran = run("token", "github", "--min-ttl", "300", at=folder)
    assert (ran.stdout, ran.stderr, ran.returncode) == (f"{TOKEN}\n", "", 0)
    assert daemon.asked == [Token(account="github", min_ttl=300, form="bare")]


def test_it_asks_for_the_account_that_the_environment_names(folder: Path) -> None:
    with ScriptedDaemon(folder, tokens) as daemon:
        run("token", at=folder, AIXTIV_ACCOUNT="work")
    assert daemon.asked == [Token(account="work", form="bare")]


def pin(folder: Path, text: str) -> Path:
    file = folder / ".aixtiv.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)
    return file


@pytest.mark.parametrize(
    ("words", "environ", "account"),
    [
        ((), {}, "github/work"),
        ((), {"AIXTIV_ACCOUNT": ""}, "github/work"),
        ((), {"AIXTIV_ACCOUNT": "env"}, "env"),
        (("typed",), {}, "typed"),
        (("--account=typed",), {"AIXTIV_ACCOUNT": "env"}, "typed"),
    ],
    ids=["nothing typed", "an empty variable", "a variable", "an argument", "an option"],
)
def test_the_folder_says_the_account_where_neither_words_nor_environment_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], environ: dict[str, str], account: str
) -> None:
    pin(folder, '# for this project\naccount = "github/work"\n')
    below = folder / "src/deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    with ScriptedDaemon(folder, lambda request: tokens(request) if request.form == "bare" else ()) as daemon:  # type: ignore[union-attr]  # a Token, or the test fails
        ran = run("token", *words, at=folder, **environ)
    assert (ran.stdout, ran.stderr) == (f"{TOKEN}\n", "")
    assert daemon.asked == [Token(account=account, form="bare")], "the fast lane's form"


def test_claude_key_is_for_the_folders_account(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(folder, 'account="anthropic/work"')
    monkeypatch.chdir(folder)
    with ScriptedDaemon(folder, tickets) as daemon:
        assert run("claude-key", at=folder).stdout == f"{TOKEN}\n"
    assert [request.account for request in daemon.asked if isinstance(request, Ticket)] == ["anthropic/work"]


def test_the_calling_agents_id_goes_along(folder: Path) -> None:
    with ScriptedDaemon(folder, tokens) as daemon:
        run("token", at=folder, AIXTIV_AGENT_ID=" agent-7 ")
        run("token", at=folder, AIXTIV_AGENT_ID="x" * 300)  # too long for the fast lane
    assert daemon.asked == [Token(agent="agent-7", form="bare"), Token(agent="x" * 300)]


@pytest.mark.parametrize(
    ("words", "script", "more"),
    [
        ("'token', 'github', '--min-ttl=60'", tokens, set()),
        ("'token'", tokens, {"aixtiv.pinned"}),
        ("'claude-key'", tickets, {"aixtiv.pinned"}),
    ],
)
def test_it_loads_nothing_that_costs(folder: Path, words: str, script: Script, more: set[str]) -> None:
    """The modules are told by the process itself, at the very end: os._exit is where the fast lane ends."""
    program = (
        "import os, sys\n"
        "before = set(sys.modules)\n"
        "def end(status):\n"
        "    os.write(2, ' '.join(sorted(set(sys.modules) - before)).encode())\n"
        "    os.kill(os.getpid(), 9)\n"
        "os._exit = end\n"
        f"sys.argv = ['aixtiv', {words}]\n"
        "from aixtiv.entry import main\n"
        "main()\n"
    )
    environ = {"HOME": str(folder), "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock")}
    with ScriptedDaemon(folder, script):
        command = [sys.executable, "-I", "-c", program]
        ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert ran.stdout == f"{TOKEN}\n", ran.stderr
    assert set(ran.stderr.split()) == LIGHT | more


def test_the_whole_command_is_heavy_so_that_the_test_above_can_fail(folder: Path) -> None:
    script = "import sys, aixtiv.command, aixtiv.client; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert {"click", "enum", "msgspec", "re", "socket", "typing"} <= set(ran.stdout.split())


def test_a_refusal_is_told_without_asking_again(folder: Path) -> None:
    def script(request: Request) -> Iterable[Said]:
        yield Failure(code="sign_in_needed", message="github needs a new sign-in", hint="aixtiv login github")

    with ScriptedDaemon(folder, script) as daemon:
        ran = run("token", "github", at=folder)
    assert ran.stderr == "aixtiv: error: github needs a new sign-in\naixtiv: hint: aixtiv login github\n"
    assert (ran.stdout, ran.returncode, len(daemon.asked)) == ("", 3, 1)


def test_a_daemon_that_hangs_up_is_asked_once_more_by_the_whole_command(folder: Path) -> None:
    def script(request: Request) -> Iterable[Said]:
        assert isinstance(request, Token)
        if request.form == "bare":
            raise EOFError
        return tokens(request)

    with ScriptedDaemon(folder, script):
        ran = run("token", at=folder)
    assert (ran.stdout, ran.returncode) == (f"{TOKEN}\n", 0)


def test_a_daemon_that_says_nothing_is_not_waited_for_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "GRACE", 0.05)
    with ScriptedDaemon(folder, lambda request: ()) as daemon:
        monkeypatch.setenv("AIXTIV_SOCKET", str(daemon.path))
        assert fast.serve_token(["--wait", "0"]) == fast.SILENCE


@pytest.mark.parametrize(("what", "mode"), [("folder", 0o750), ("socket", 0o666)])
def test_not_a_byte_goes_to_a_socket_that_others_can_reach(folder: Path, what: str, mode: int) -> None:
    with ScriptedDaemon(folder, tokens) as daemon:
        place = daemon.path.parent if what == "folder" else daemon.path
        place.chmod(mode)
        ran = run("token", at=folder)
        assert (daemon.callers, daemon.asked) == (0, [])
    mending = f"chmod {'700' if what == 'folder' else '600'} {place}"
    assert ran.stderr == f"aixtiv: error: {place} is open to others (mode {mode:04o})\naixtiv: hint: {mending}\n"
    assert (ran.stdout, ran.returncode) == ("", 1)


def test_something_that_is_not_a_socket_is_not_asked(folder: Path) -> None:
    path = folder / "aixtiv/aixtiv.sock"
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    ran = run("token", at=folder)
    assert ran.stderr == f"aixtiv: error: {path} is not a socket\naixtiv: hint: unset AIXTIV_SOCKET\n"


def test_a_socket_in_a_folder_for_all_and_a_path_that_is_too_long_name_what_mends_them(folder: Path) -> None:
    folder.chmod(0o1777)
    ran = run("token", at=folder, AIXTIV_SOCKET=f"{folder}/x.sock")
    assert ran.stderr.endswith("aixtiv: hint: unset AIXTIV_SOCKET\n")
    ran = run("token", at=folder, AIXTIV_SOCKET=f"{folder}/{'x' * 120}")
    assert ran.stderr.endswith("aixtiv: hint: export AIXTIV_SOCKET=/a/shorter/path/aixtiv.sock\n")


def test_a_reader_that_has_gone_is_no_traceback(folder: Path) -> None:
    with ScriptedDaemon(folder, tokens) as daemon:
        reader, writer = os.pipe()
        os.close(reader)
        environ = {"HOME": str(folder), "AIXTIV_SOCKET": str(daemon.path)}
        command = [AIXTIV, "token"]
        ran = subprocess.run(command, env=environ, stdout=writer, stderr=subprocess.PIPE, timeout=30, check=False)
        os.close(writer)
    assert (ran.stderr, ran.returncode) == (b"", 141)


def test_a_token_of_the_largest_size_comes_through(folder: Path) -> None:
    long = "x" * 200_000

    def script(request: Request) -> Iterable[Said]:
        frame = codec.encode_bare(Secret(long), "frames")
        yield frame[:3]
        yield frame[3:100_000]
        yield frame[100_000:]

    with ScriptedDaemon(folder, script):
        ran = run("token", at=folder)
    assert ran.stdout == f"{long}\n"


def test_the_socket_module_is_the_one_that_the_fast_lane_does_without() -> None:
    """`_socket` is CPython's own; where it were missing, the fast lane would have to be another."""
    import _socket

    assert issubclass(socket.socket, _socket.socket)
