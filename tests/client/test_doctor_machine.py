"""What is wrong with the machine: which command wins, whose the files are, how the daemon is."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from aixtiv.doctor import command, daemon, files
from aixtiv.doctor.situation import Situation
from aixtiv.failures import Locked, NoAccount, NotRunning, NotUnderstood
from aixtiv_protocol import replies
from peers.patient import STATUS, WELCOME, only, program, with_shell, wrongs

# ---- which command wins


def test_the_only_command_on_the_path_is_fine(here: Situation) -> None:
    assert only(command.check(here)).verdict == "fine"


@pytest.mark.parametrize(("before", "words"), [(True, "wins over"), (False, "stands on the PATH behind")])
def test_the_older_command_for_node_is_found_before_and_behind_ours(
    here: Situation, folder: Path, before: bool, words: str
) -> None:
    real = program(folder / "lib/node_modules/@aixtiv/cli/bin/aixtiv.js", "#!/usr/bin/env node\n")
    (folder / "lib/node_modules/@aixtiv/cli/package.json").write_text('{"name": "@aixtiv/cli"}')
    (folder / "npm").mkdir()
    (folder / "npm/aixtiv").symlink_to(real)
    path = [str(folder / "npm"), str(folder / "bin")]
    found = only(command.check(with_shell(here, PATH=":".join(path if before else path[::-1]))))
    assert (found.name, found.verdict, found.hint) == ("command", "wrong", "npm uninstall -g @aixtiv/cli")
    assert words in found.sentence


def test_another_installation_is_wrong_only_where_it_wins(here: Situation, folder: Path) -> None:
    other = program(folder / "other/aixtiv", "#!/usr/bin/python3\n")
    assert only(command.check(with_shell(here, PATH=f"{folder}/bin:{folder}/other"))).verdict == "fine"
    found = only(command.check(with_shell(here, PATH=f"{folder}/other:{folder}/bin")))
    assert (found.verdict, found.hint) == ("wrong", f"rm {other}")


def test_a_link_to_ours_is_ours(here: Situation, folder: Path) -> None:
    (folder / "links").mkdir()
    (folder / "links/aixtiv").symlink_to(folder / "bin/aixtiv")
    assert only(command.check(with_shell(here, PATH=f"{folder}/links:{folder}/bin"))).verdict == "fine"


# ---- files


def test_an_open_socket_is_found_with_the_command_that_closes_it(here: Situation) -> None:
    path = Path(here.socket)
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0o600)
        assert only(files.check_socket(here)).verdict == "fine"
        path.chmod(0o666)
        found = only(files.check_socket(here))
    assert (found.name, found.verdict, found.hint) == ("socket", "wrong", f"chmod 600 {path}")
    assert found.repair
    found.repair.run()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_stale_socket_is_found_and_removed(here: Situation) -> None:
    path = Path(here.socket)
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
    found = only(files.check_socket(structs.replace(here, welcome=None, trouble=NotRunning())))
    assert (found.verdict, found.hint) == ("wrong", f"rm {path}")
    assert found.repair
    found.repair.run()
    assert not path.exists()


def test_where_there_is_nothing_yet_nothing_is_wrong(here: Situation) -> None:
    for check in (files.check_socket, files.check_store):
        assert only(check(here)).verdict == "skipped"


@pytest.mark.parametrize(
    ("name", "mode", "hint"), [("", 0o755, "chmod 700"), ("store.db", 0o644, "chmod 600"), ("key", 0o640, "chmod 600")]
)
def test_a_store_that_others_could_open_is_found_and_closed(here: Situation, name: str, mode: int, hint: str) -> None:
    here.state.mkdir(mode=0o700)
    for file in ("store.db", "key"):
        (here.state / file).touch(mode=0o600)
    assert only(files.check_store(here)).verdict == "fine"
    path = here.state / name
    path.chmod(mode)
    found = only(files.check_store(here))
    assert (found.name, found.verdict, found.hint) == ("store", "wrong", f"{hint} {path}")
    assert found.repair
    found.repair.run()
    assert only(files.check_store(here)).verdict == "fine"


def test_what_is_no_file_in_the_stores_place_is_found(here: Situation) -> None:
    here.state.mkdir(mode=0o700)
    os.mkfifo(here.state / "store.db", 0o600)
    assert "is not a plain file" in only(files.check_store(here)).sentence


def test_a_wrong_config_is_found_in_the_daemons_own_words(here: Situation) -> None:
    here.config.write_text("[network]\nproxi = ''\n")
    found = only(files.check_config(here))
    assert (found.name, found.verdict) == ("config", "wrong")
    assert "unknown key network.proxi" in found.sentence


def test_a_config_that_everybody_can_write_is_closed(here: Situation) -> None:
    here.config.write_text("")
    here.config.chmod(0o666)
    found = only(files.check_config(here))
    assert found.repair
    found.repair.run()
    assert here.config.stat().st_mode & 0o777 == 0o664
    assert only(files.check_config(here)).verdict == "fine"


# ---- the daemon


def test_a_daemon_that_cannot_be_asked_is_one_fault_and_not_ten(here: Situation) -> None:
    gone = structs.replace(here, welcome=None, status=None, trouble=NotRunning(hint="aixtiv service start"))
    found = [
        finding
        for check in (daemon.check_daemon, daemon.check_version, daemon.check_vault, daemon.check_examined)
        for finding in check(gone)
    ]
    assert [(one.name, one.hint) for one in wrongs(found)] == [("daemon", "aixtiv service start")]
    assert {one.name for one in found} >= {"version", "vault", *daemon.EXAMINED}


def test_a_daemon_of_another_version_is_found(here: Situation) -> None:
    older = structs.replace(here, welcome=structs.replace(WELCOME, version="0.1"))
    found = only(daemon.check_version(older))
    assert (found.name, found.verdict, found.hint) == ("version", "wrong", "aixtiv service restart")
    assert found.repair
    assert found.repair.question == "restart the daemon"


@pytest.mark.parametrize(
    ("fields", "words", "hint"),
    [
        ({"locked": True, "lock_reason": "the key store is locked"}, "the key store is locked", "aixtiv unlock"),
        ({"locked": True, "new_store": True}, "passphrase is still to be chosen", "aixtiv unlock"),
        ({"damaged": 2}, "2 records fail their seal", "aixtiv status"),
        ({"spilled": 1}, "1 grants wait for room", "df -h ~"),
    ],
)
def test_a_vault_that_is_not_well_is_found(here: Situation, fields: dict[str, Any], words: str, hint: str) -> None:
    found = only(daemon.check_vault(structs.replace(here, status=structs.replace(STATUS, **fields))))
    assert (found.name, found.verdict, found.hint) == ("vault", "wrong", hint)
    assert words in found.sentence


@pytest.mark.parametrize(
    ("fields", "tables", "verdict", "hint"),
    [
        ({}, {}, "fine", ""),
        ({"gateway_port": 4000}, {"claude": {"port": 4000}}, "fine", ""),
        ({}, {"claude": {"port": 4000}}, "wrong", "aixtiv reload"),
        ({"gateway_port": 4000}, {}, "wrong", "aixtiv reload"),
        ({"gateway_problem": "it is taken"}, {"claude": {"port": 4000}}, "wrong", "ss -ltnp 'sport = :4000'"),
        ({"gateway_problem": "no socket"}, {}, "wrong", "aixtiv status"),
    ],
)
def test_a_gateway_that_is_not_where_the_config_says_is_found(
    here: Situation, fields: dict[str, Any], tables: dict[str, Any], verdict: str, hint: str
) -> None:
    situation = structs.replace(here, status=structs.replace(STATUS, **fields), tables=tables)
    found = only(daemon.check_gateway(situation))
    assert (found.name, found.verdict, found.hint) == ("gateway", verdict, hint)


def test_the_daemons_own_findings_are_told_with_their_names_and_hints(here: Situation) -> None:
    told = (
        replies.Finding(name="clock", ok=False, sentence="id.example.org is an hour ahead", hint="timedatectl"),
        replies.Finding(name="token", ok=True, sentence="good for 59 minutes", account="work"),
        replies.Finding(name="unheard-of", ok=False, sentence="a newer daemon's"),
    )
    found = list(daemon.check_examined(structs.replace(here, examined=told)))
    assert [(one.name, one.verdict) for one in found] == [
        ("key-source", "skipped"),
        ("clock", "wrong"),
        ("issuer", "skipped"),
        ("token", "fine"),
        ("unheard-of", "wrong"),
    ]
    assert (found[1].hint, found[3].account) == ("timedatectl", "work")


def test_an_account_that_is_not_there_is_a_fault(here: Situation) -> None:
    failure = NoAccount("there is no account nobody", hint="aixtiv accounts")
    found = wrongs(daemon.check_examined(structs.replace(here, account="nobody", unexamined=failure)))
    assert [(one.name, one.sentence, one.hint) for one in found] == [("token", failure.sentence, failure.hint)]


@pytest.mark.parametrize(("failure", "words"), [(Locked(), "is locked"), (NotUnderstood("too old"), "too old")])
def test_why_the_daemon_found_nothing_is_said(here: Situation, failure: Any, words: str) -> None:
    found = list(daemon.check_examined(structs.replace(here, unexamined=failure)))
    assert all(one.verdict == "skipped" and words in one.sentence for one in found)


@pytest.mark.parametrize(
    ("problem", "tables", "told"),
    [
        ("", {}, ["fine"]),
        ("", {"account": 5}, ["fine"]),
        ("", {"account": {"work": {"publish": {"path": "/x"}}}}, ["fine"]),
        ("/x: others can write in that folder", {}, ["wrong"]),
    ],
)
def test_files_that_are_published_have_a_line(
    here: Situation, problem: str, tables: dict[str, Any], told: list[str]
) -> None:
    situation = structs.replace(here, status=structs.replace(STATUS, publish_problem=problem), tables=tables)
    assert [found.verdict for found in daemon.check_published(situation)] == told
