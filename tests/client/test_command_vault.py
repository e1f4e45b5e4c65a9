"""What commands about the vault say: its key, its backups, its log, and who may ask for that."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from aixtiv_protocol import VERSION, replies, requests
from peers.commanded import run, saying
from peers.scripted import Said, Script, ScriptedDaemon

WRONG = replies.Failure(code="key_failed", message="that passphrase is not the one", hint="aixtiv unlock")
OPEN = replies.DaemonStatus(version=VERSION, pid=4711, started_at=1, locked=False, key_source="passphrase")
PHRASES = "correct horse battery\nanother one, long enough\n"


def answering(*said: Said, status: replies.DaemonStatus = OPEN) -> Script:
    """Whatever is asked but how the daemon and its accounts are."""

    def script(request: requests.Request) -> Iterable[Said]:
        if isinstance(request, requests.Accounts):
            return (replies.AccountList(accounts=()),)
        return (status,) if isinstance(request, requests.Status) else said

    return script


@pytest.mark.parametrize(
    "words", [("key", "check"), ("key", "rotate"), ("key", "move", "--to", "keyring"), ("export", "accounts.backup")]
)
def test_a_wrong_passphrase_for_an_open_vault_is_no_locked_one(folder: Path, words: tuple[str, ...]) -> None:
    with ScriptedDaemon(folder, answering(WRONG)):
        ran = run(folder, *words, stdin=PHRASES)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"aixtiv: error: that passphrase is not the one\naixtiv: hint: aixtiv {' '.join(words)}\n"


def test_a_source_that_cannot_be_moved_to_keeps_its_own_way_out(folder: Path) -> None:
    failed = replies.Failure(code="key_failed", message="the key file cannot be written", hint="df -h /")
    with ScriptedDaemon(folder, answering(failed)):
        ran = run(folder, "key", "move", "--to", "file", stdin=PHRASES)
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (1, "aixtiv: hint: df -h /")


def test_a_locked_vault_is_one_for_these_commands_too(folder: Path) -> None:
    locked = replies.Failure(code="locked", message="the vault is locked", hint="aixtiv unlock")
    with ScriptedDaemon(folder, answering(locked)):
        ran = run(folder, "key", "rotate", stdin=PHRASES)
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (6, "aixtiv: hint: aixtiv unlock")


def test_a_short_passphrase_for_the_vault_is_said_to_be_one(folder: Path) -> None:
    new = replies.DaemonStatus(version=VERSION, pid=1, started_at=1, locked=True, new_store=True)
    warning = "aixtiv: warning: a passphrase of 5 characters can be guessed by whoever has the store"
    for words, status, typed in (
        (("unlock",), new, ""),
        (("key", "move", "--to", "passphrase"), OPEN, "the old one\n"),
    ):
        with ScriptedDaemon(folder, answering(replies.Done(note="done"), status=status)):
            assert warning in run(folder, *words, stdin=f"{typed}short\n").stderr
            assert "warning" not in run(folder, *words, stdin=f"{typed}six random words, say\n").stderr


def test_a_move_to_nowhere_is_one_short_sentence(folder: Path) -> None:
    ran = run(folder, "key", "move")
    assert (ran.returncode, ran.stderr.splitlines()) == (
        64,
        [
            "aixtiv: error: it is not said where to: keyring, passphrase, systemd or file",
            "aixtiv: hint: aixtiv key move --help",
        ],
    )


@pytest.mark.parametrize("command", ["export", "restore"])
@pytest.mark.parametrize("word", ["", "-"])
def test_what_names_no_file_is_no_backup(folder: Path, command: str, word: str) -> None:
    ran = run(folder, command, "--", word)
    assert (ran.returncode, ran.stderr.splitlines()) == (
        64,
        ["aixtiv: error: a backup is a file, and that names none", f"aixtiv: hint: aixtiv {command} accounts.backup"],
    )


def test_a_folder_is_no_backup(folder: Path) -> None:
    ran = run(folder, "restore", str(folder))
    assert (ran.returncode, ran.stderr.splitlines()[0]) == (
        1,
        f"aixtiv: error: {folder} is a folder, and a backup is a file",
    )


def test_a_backup_without_an_account_is_said_to_be_one(folder: Path) -> None:
    with ScriptedDaemon(folder, answering(replies.Piece(data=b"sealed"), replies.End())):
        made = run(folder, "export", str(folder / "a.backup"), stdin=PHRASES)
    assert made.stdout.startswith("sealed no account into ")
    assert "warning: there is no account yet, so that this backup holds none" in made.stderr
    (folder / "empty.backup").write_bytes(b"aixtiv backup 1\n")
    with ScriptedDaemon(folder, answering(replies.Restored(accounts=(), kept=(), made_at=0))):
        back = run(folder, "restore", str(folder / "empty.backup"), stdin=PHRASES)
    assert (back.returncode, back.stdout) == (0, "there is no account in this backup of an unknown time\n")


def test_a_backup_that_was_cut_short_is_to_be_looked_at(folder: Path) -> None:
    (folder / "torn.backup").write_bytes(b"aixtiv backup 1\n")
    torn = replies.Failure(code="bad_request", message="that backup was cut short")
    with ScriptedDaemon(folder, answering(torn)):
        ran = run(folder, "restore", str(folder / "torn.backup"), stdin=PHRASES)
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (1, f"aixtiv: hint: ls -l {folder}/torn.backup")


def test_who_follows_the_log_ends_with_the_daemon_and_in_order(folder: Path) -> None:
    def script(request: requests.Request) -> Iterable[Said]:
        yield replies.AuditRecord(number=1, at=1.0, what="start")
        raise EOFError

    with ScriptedDaemon(folder, script):
        ran = run(folder, "audit", "--follow", "--json")
        assert (ran.returncode, ran.stdout.count("\n"), ran.stderr) == (0, 1, "")
        assert run(folder, "audit").returncode == 2, "a list that breaks off is no whole one"


@pytest.mark.parametrize("command", ["reload", "stop", "lock"])
def test_whoever_shut_itself_out_by_a_rule_is_told_the_signal(folder: Path, command: str) -> None:
    denied = replies.Failure(code="denied", message="the default does not let it", hint="aixtiv access explain")
    with ScriptedDaemon(folder, answering(denied)):
        ran = run(folder, command)
    assert (ran.returncode, ran.stderr.splitlines()) == (
        1,
        [
            "aixtiv: error: the default does not let it; a mended config is read on SIGHUP, too",
            "aixtiv: hint: kill -HUP 4711",
        ],
    )


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ({"rights": ("list",), "rule": 1, "paths": ("/v1/models/",)}, "not allowed, rule 1 allows only /v1/models/"),
        ({"rights": ("list",)}, "not allowed, the default lets no call be made"),
        ({"rights": ("relay",), "rule": 2}, "allowed by rule 2"),
    ],
)
def test_whether_a_call_may_be_made_is_a_line_of_its_own(folder: Path, decision: dict[str, object], said: str) -> None:
    one = replies.Decision(account="work", why="why", **decision)  # type: ignore[arg-type]  # as above
    explained = replies.Explained(pid=1, decisions=(replies.Decision(account="", rights=()), one))
    with ScriptedDaemon(folder, saying(explained)):
        ran = run(folder, "access", "explain", "work", "--path", "/v1/messages")
    assert ran.stdout.splitlines()[-1] == f"/v1/messages with work: {said}"
