"""`aixtiv export` and `aixtiv restore`: what a person has afterwards, and what nobody else has."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers.leaks import files_under, leaks
from peers.machine import SCRIPTS, Machine, Ran
from peers.terminal import Terminal

OWN: Final = "the vault's own passphrase"
NEW: Final = "an eager badger counts clouds"
KEY: Final = "sk-ant-api03-made-up-for-this-test-only"
OTHER: Final = "sk-ant-api03-of-another-account-altogether"


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    """With two accounts."""
    with Machine(folder) as machine:
        yield furnished(machine.start())


@pytest.fixture
def guarded(folder: Path) -> Iterator[Machine]:
    """The same, and its vault has a passphrase."""
    with Machine(folder) as machine:
        machine.configure('[vault]\nkey = "passphrase"')
        machine.start()
        assert isinstance(machine.ask(requests.Unlock(passphrase=Secret(OWN))), replies.Done)
        yield furnished(machine)


def furnished(machine: Machine) -> Machine:
    keep(machine, "anthropic", KEY)
    keep(machine, "static", OTHER)
    return machine


def keep(machine: Machine, name: str, key: str) -> None:
    assert isinstance(machine.ask(requests.ApiKey(account=name, key=Secret(key))), replies.Account)


def export(machine: Machine, *lines: str, file: str = "accounts.backup") -> Ran:
    return machine.run("export", file, stdin="".join(f"{line}\n" for line in lines))


def held(machine: Machine) -> list[str]:
    reply = machine.ask(requests.Accounts())
    assert isinstance(reply, replies.AccountList)
    return [account.name for account in reply.accounts]


def told(machine: Machine, what: str) -> list[tuple[bool, str]]:
    with machine.conversation() as talk:
        talk.say(requests.Audit())
        records = []
        while isinstance(record := talk.hear(), replies.AuditRecord):
            records.append(record)
    return [(record.ok, record.detail) for record in records if record.what == what]


def test_what_was_exported_comes_back_on_another_machine_with_a_key_source_of_its_own(
    guarded: Machine, folder: Path
) -> None:
    (folder / "other").mkdir(mode=0o700)
    ran = export(guarded, OWN, NEW)
    file = guarded.home / "accounts.backup"
    assert (ran.code, ran.out) == (0, f"sealed every account into accounts.backup ({file.stat().st_size} bytes)\n")
    assert "is spent as soon as the account is refreshed" in ran.err
    assert file.stat().st_mode & 0o777 == 0o600
    with Machine(folder / "other") as other:
        other.start()
        restored = other.run("restore", str(file), "--json", stdin=f"{NEW}\n").json()
        assert (restored["accounts"], restored["kept"]) == (["anthropic", "static"], [])
        assert other.run("token", "static").out == f"{OTHER}\n"
        assert told(other, "restore") == [(True, "anthropic, static came back from a backup")]
        assert other.stop() == 0
    assert told(guarded, "export") == [(True, "every account, sealed to a passphrase")]


def test_nothing_of_it_is_ever_in_the_clear_on_disk(guarded: Machine) -> None:
    assert export(guarded, OWN, NEW).code == 0
    found = files_under(guarded.home, guarded.runtime) | {"log": guarded.log.encode()}
    assert leaks({KEY, OTHER, OWN, NEW}, found) == []
    assert sorted(path.name for path in guarded.home.iterdir() if "backup" in path.name) == ["accounts.backup"]


def test_only_who_knows_the_vaults_own_passphrase_takes_everything_out_of_it(guarded: Machine) -> None:
    ran = export(guarded, "not that one", NEW)
    hint = "aixtiv: hint: aixtiv export accounts.backup\n"
    assert (ran.code, ran.err) == (1, f"aixtiv: error: that passphrase is not the one\n{hint}")
    asked = guarded.ask(requests.Export(new_passphrase=Secret(NEW)))
    assert isinstance(asked, replies.Failure)
    assert (asked.code, "vault's own passphrase" in asked.message) == ("key_failed", True)
    assert not [path for path in guarded.home.iterdir() if "backup" in path.name], "no half of a file either"
    assert [ok for ok, _ in told(guarded, "export")] == [False, False]


def test_with_export_forbidden_there_is_none_after_a_reload_either(machine: Machine) -> None:
    machine.configure("[vault]\nexport = false")
    assert machine.run("reload").code == 0
    ran = export(machine, NEW)
    assert (ran.code, ran.err) == (1, "aixtiv: error: the config forbids backups (vault.export = false)\n")
    assert not (machine.home / "accounts.backup").exists()


@pytest.mark.parametrize("there", ["file", "folder", "link to nowhere"])
def test_what_is_there_is_never_replaced_and_nobody_types_for_nothing(machine: Machine, there: str) -> None:
    path = machine.home / "accounts.backup"
    if there == "file":
        path.write_bytes(b"precious")
    elif there == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    ran = machine.run("export", "accounts.backup")
    folder = "is a folder: name a file in it\naixtiv: hint: aixtiv export accounts.backup/accounts.backup\n"
    taken = "is there already, and may be a backup that is wanted\naixtiv: hint: aixtiv export accounts-2.backup\n"
    assert (ran.code, ran.err) == (1, f"aixtiv: error: accounts.backup {folder if there == 'folder' else taken}")
    assert there != "file" or path.read_bytes() == b"precious"
    assert not (machine.home / "nowhere").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence_and_leaves_nothing(machine: Machine) -> None:
    ran = export(machine, NEW, file="/proc/accounts.backup")
    assert (ran.code, "/proc/accounts.backup cannot be written" in ran.err) == (1, True)
    ran = export(machine, NEW, file="no/such/folder")
    assert (ran.code, "there is no folder" in ran.err) == (1, True)


def test_at_a_terminal_the_new_passphrase_is_typed_twice(guarded: Machine) -> None:
    words = [str(SCRIPTS / "aixtiv"), "export", "accounts.backup"]
    with Terminal(words, guarded.environ, guarded.home) as terminal:
        terminal.until("the vault's passphrase: ")
        terminal.type(f"{OWN}\n")
        terminal.until("a passphrase for the backup: ")
        terminal.type(f"{NEW}\n")
        terminal.until("the same again: ")
        terminal.type(f"{NEW}s\n")
        assert terminal.ended() == 64
        assert NEW not in terminal.shown
    assert not (guarded.home / "accounts.backup").exists()


def test_what_is_there_stays_and_with_replace_is_replaced(machine: Machine) -> None:
    export(machine, NEW)
    keep(machine, "static", KEY)
    ran = machine.run("restore", "accounts.backup", stdin=f"{NEW}\n")
    assert ran.code == 0
    assert "there already, and as before: anthropic, static; `aixtiv restore accounts.backup --replace`" in ran.err
    assert machine.run("token", "static").out == f"{KEY}\n"
    assert machine.run("restore", "accounts.backup", "--replace", stdin=f"{NEW}\n").code == 0
    assert machine.run("token", "static").out == f"{OTHER}\n"


def test_a_wrong_passphrase_or_an_altered_file_brings_nothing_back(machine: Machine) -> None:
    export(machine, NEW)
    for name in ("anthropic", "static"):
        machine.ask(requests.Logout(account=name))
    file = machine.home / "accounts.backup"
    whole = file.read_bytes()
    wrong = "aixtiv: error: that passphrase does not open this backup, or the backup was altered\n"
    wrong += "aixtiv: hint: ls -l accounts.backup\n"
    assert machine.run("restore", file.name, stdin=f"{NEW}s\n") == Ran("", wrong, 1)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert machine.run("restore", file.name, stdin=f"{NEW}\n") == Ran("", wrong, 1)
    file.write_bytes(b"PK" + whole)
    ran = machine.run("restore", file.name)
    assert (ran.code, "is not a backup that aixtiv made" in ran.err) == (1, True)
    os.mkfifo(machine.home / "pipe")
    assert "is not a plain file" in machine.run("restore", "pipe").err
    assert held(machine) == []


def test_killed_within_the_transaction_none_comes_back_and_then_all(machine: Machine) -> None:
    export(machine, NEW)
    for name in ("anthropic", "static"):
        machine.ask(requests.Logout(account=name))
    machine.stop()
    machine.start(AIXTIVD_FAULT="before-commit-all")
    assert machine.run("restore", "accounts.backup", stdin=f"{NEW}\n").code == 2
    machine.ended()
    machine.start()
    assert held(machine) == []
    assert machine.run("restore", "accounts.backup", stdin=f"{NEW}\n").code == 0
    assert held(machine) == ["anthropic", "static"]


def test_locked_neither_asks_for_a_passphrase(machine: Machine) -> None:
    export(machine, NEW)
    machine.ask(requests.Lock())
    for words in (("export", "another.backup"), ("restore", "accounts.backup")):
        ran = machine.run(*words)
        assert (ran.code, ran.err) == (6, "aixtiv: error: the vault is locked\naixtiv: hint: aixtiv unlock\n")
