"""What somebody else put there, or answers: the doctor obeys none of it, repeats no secret, and goes on to the end."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec import structs

from aixtiv.doctor import claude, environment, handed, look, old
from aixtiv.doctor.examination import CHECKS, Examination
from aixtiv.doctor.finding import Finding
from aixtiv.doctor.situation import Answered, Question, Situation
from peers.patient import only, with_shell

SECRET: Final = "not-for-anybody-else-4f9c"


class Asked:
    """Whoever answers, with what was asked where."""

    def __init__(self, answered: Answered | None = None) -> None:
        self.bases: list[str] = []
        self._answered = answered or Answered(404, "not_found_error", "Not found")

    def bare(self, base: str, question: Question) -> Answered:
        self.bases.append(base + question.path)
        return self._answered

    def relay(self, question: Question) -> Answered:
        self.bases.append(question.endpoint + question.path)
        return self._answered

    def at(self, here: Situation, **environ: str) -> Situation:
        return structs.replace(with_shell(here, **environ), bare=self.bare, relay=self.relay)


def filed(here: Situation, text: str | bytes, mode: int = 0o600) -> Path:
    path = here.home / ".config/aixtiv/api-config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def said(here: Situation, **api: object) -> Path:
    return filed(here, json.dumps({"claude": {"api": api}}))


def everything(situation: Situation) -> list[Finding]:
    checks = (old.check_files, claude.check_path, claude.check_header, claude.check_version, claude.check_api)
    return [finding for check in checks for finding in check(situation)]


# ---- the older command's file

OURS: Final = {"anthropic-api-key": "x"}


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_can_write_is_asked_for_nothing(here: Situation, mode: int) -> None:
    said(here, endpoint="https://evil.example/${WHERE}/v1/messages", version="${WHERE}", headers=OURS).chmod(mode)
    asked = Asked(Answered(200, account="anthropic"))
    found = {one.name: one for one in everything(asked.at(here, WHERE=SECRET))}
    assert found["old-config"].verdict == "wrong"
    assert "can be written by others" in found["old-config"].sentence
    for name in ("claude-path", "claude-header", "claude-version"):
        assert (found[name].verdict, "old-config" in found[name].sentence) == ("skipped", True)
    assert not any("evil" in base for base in asked.bases)
    assert SECRET not in repr(found)


@pytest.mark.parametrize("key", ["endpoint", "version"])
def test_a_secret_is_neither_sent_nor_shown_though_ones_own_file_names_it(here: Situation, key: str) -> None:
    text = "https://evil.example/${GITHUB_TOKEN}/v1/messages" if key == "endpoint" else "${GITHUB_TOKEN}"
    path = said(here, **{key: text})
    asked = Asked()
    found = everything(asked.at(here, GITHUB_TOKEN=SECRET))
    assert found[0].sentence.startswith(f"{path}: claude.api.{key}: ${{GITHUB_TOKEN}} may be a secret")
    assert SECRET not in repr(found)
    assert not any(SECRET in base or "evil" in base for base in asked.bases)


@pytest.mark.parametrize(
    "answered",
    [
        Answered(404, "not_found_error", "Not found"),
        Answered(200, account="anthropic", paid="oauth"),
        Answered(400, "invalid_request_error", "anthropic-version: hidden-version-1 is not a valid version"),
        Answered(
            message="not sent to https://hidden.example:8443", hint="aixtiv login --endpoint https://hidden.example"
        ),
    ],
)
def test_what_a_variable_holds_is_asked_for_and_not_repeated(here: Situation, answered: Answered) -> None:
    said(here, endpoint="${CLAUDE_HOST}/v1/complete", version="${CLAUDE_VERSION}")
    asked = Asked(answered)
    shell = asked.at(here, CLAUDE_HOST="https://hidden.example:8443/", CLAUDE_VERSION="hidden-version-1")
    found = everything(shell)
    assert any(base.startswith("https://hidden.example:8443") for base in asked.bases)
    assert any("${CLAUDE_HOST}" in one.sentence for one in found)
    assert not any("hidden" in f"{one.sentence} {one.hint} {one.repair and one.repair.sentence}" for one in found)


HOSTILE: Final[dict[str, Callable[[Path], object]]] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "deeper than the stack": lambda path: path.write_text('{"a":' * 50_000 + "1" + "}" * 50_000),
    "almost as deep": lambda path: path.write_text('{"a":' * 900 + "1" + "}" * 900),
    "a number without an end": lambda path: path.write_text('{"a": ' + "9" * 5000 + "}"),
    "no object": lambda path: path.write_text("[1, 2]"),
    "no object within": lambda path: path.write_text('{"claude": [1]}'),
    "not the right kind": lambda path: path.write_text('{"claude": {"api": {"endpoint": [1], "auth": []}}}'),
    "UTF-16": lambda path: path.write_bytes(b"\xff\xfe{}"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_the_old_file_is_the_doctor_tells_of_it_and_goes_on(here: Situation, what: str) -> None:
    path = here.home / ".config/aixtiv/api-config.json"
    path.parent.mkdir(parents=True)
    HOSTILE[what](path)
    found = [finding for check in CHECKS for finding in check(here)]
    (wrong,) = (one for one in found if one.name == "old-config")
    assert (wrong.verdict, str(path) in wrong.sentence) == ("wrong", True)


@pytest.mark.parametrize("what", ["a key that comes twice", "a link"])
def test_what_cannot_be_mended_is_a_finding_and_the_file_is_as_it_was(here: Situation, what: str) -> None:
    text = '{"claude": {"x": 1, "x": 2, "api": {"version": "2022-01-01"}}}'
    path = filed(here, text if "twice" in what else text.replace('"x": 1, ', ""))
    if what == "a link":
        path.symlink_to(path.rename(here.home / "elsewhere.json"))
    was = path.read_bytes()
    asked = Asked(Answered(400, "invalid_request_error", "anthropic-version: is not a valid version"))
    situation = asked.at(here)
    situation = structs.replace(situation, relay=_takes("2023-06-01", situation.relay))
    found = only(Examination(lambda: situation, fix=True, checks=(claude.check_version,)).findings())
    assert (found.verdict, "it could not be mended" in found.sentence) == ("wrong", True)
    assert path.read_bytes() == was
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_byte_order_mark_is_no_reason_not_to_mend(here: Situation) -> None:
    path = filed(here, '\ufeff{"claude": {"api": {"version": "2022-01-01"}}}')
    asked = Asked(Answered(400, "invalid_request_error", "anthropic-version: is not a valid version"))
    situation = structs.replace(asked.at(here), relay=_takes("2023-06-01", asked.relay))
    found = only(Examination(lambda: situation, fix=True, checks=(claude.check_version,)).findings())
    assert found.fixed
    assert path.read_text() == '\ufeff{"claude": {"api": {"version": "2023-06-01"}}}'


def _takes(version: str, otherwise: Callable[[Question], Answered]) -> Callable[[Question], Answered]:
    def relay(question: Question) -> Answered:
        good = dict(question.headers).get("anthropic-version") == version
        return Answered(200) if good else otherwise(question)

    return relay


# ---- Claude Code's settings, and other people's programs


@pytest.mark.parametrize("what", [name for name in HOSTILE if "object" not in name and "kind" not in name])
def test_whatever_claude_codes_settings_are_the_doctor_tells_of_them_and_goes_on(here: Situation, what: str) -> None:
    path = here.home / ".claude/settings.json"
    path.parent.mkdir()
    HOSTILE[what](path)
    found = [finding for check in CHECKS for finding in check(here)]
    (wrong,) = (one for one in found if one.name == "base-url")
    assert (wrong.verdict, str(path) in wrong.sentence) == ("wrong", True)


def test_claude_codes_settings_that_everybody_can_write_are_said_to_be_so(here: Situation) -> None:
    path = here.home / ".claude/settings.json"
    path.parent.mkdir()
    path.write_text('{"env": {"ANTHROPIC_BASE_URL": "https://evil.example"}}')
    path.chmod(0o666)
    found = only(environment.check_base_url(here))
    assert (found.verdict, found.hint) == ("wrong", f"chmod go-w {path}")


def test_a_manifest_that_hangs_or_never_ends_keeps_no_other_check_from_its_work(here: Situation) -> None:
    for name, make in (("one", HOSTILE["a FIFO"]), ("two", HOSTILE["deeper than the stack"])):
        other = here.home / name / "aixtiv"
        other.parent.mkdir()
        other.write_text("#!/usr/bin/env node\n")
        other.chmod(0o755)
        make(other.with_name("package.json"))
        found = list(CHECKS[0](with_shell(here, PATH=f"{other.parent}:{here.environ['PATH']}")))
        assert only(found).hint == f"rm {other}"


def test_a_config_that_hangs_or_never_ends_is_the_check_configs_to_tell(folder: Path) -> None:
    for name, make in (("fifo", HOSTILE["a FIFO"]), ("deep", lambda path: path.write_text("a = " + "[" * 50_000))):
        make(folder / name)
        assert look._tables(folder / name) == {}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("part", ["configs", "credentials"])
def test_whatever_a_profile_of_the_sdks_is_the_doctor_goes_on(here: Situation, what: str, part: str) -> None:
    for folder in ("configs", "credentials"):
        path = here.home / ".config/anthropic" / folder / "aixtiv.json"
        path.parent.mkdir(parents=True)
        if folder == part:
            HOSTILE[what](path)
        else:
            path.write_text('{"access_token": "aixtiv-ticket-x", "base_url": "http://127.0.0.1:1"}')
    assert only(handed.check_ticket(here)).verdict == "skipped"


@pytest.mark.parametrize("provider", [5, {"anthropic": 5, "anthropc": {}}, {"x": [1]}, []])
def test_a_config_of_other_kinds_than_expected_ends_no_check(here: Situation, provider: object) -> None:
    situation = structs.replace(here, tables={"provider": provider, "api": {"anthropi": {}}, "network": 3})
    for check in CHECKS:
        assert list(check(situation))


# ---- whoever answers


@contextmanager
def answering(data: bytes) -> Iterator[str]:
    """Says those bytes to everybody, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            conversation, _ = server.accept()
            with conversation:
                conversation.recv(65536)
                conversation.sendall(data)
                conversation.shutdown(socket.SHUT_WR)
                while conversation.recv(65536):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


DEEP: Final = b'{"error": {"x": ' + b"[" * 20_000


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"no HTTP at all\r\n\r\n", 0),
        (b"HTTP/1.1 abc OK\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", 0),
        (b"HTTP/1.1 400 No\r\nconnection: close\r\n\r\n" + DEEP, 400),
        (b"HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 0),
    ],
)
def test_whatever_a_server_says_is_an_answer(monkeypatch: pytest.MonkeyPatch, data: bytes, status: int) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with answering(data) as origin:
        answered = look.bare(origin, Question("/v1/messages", "POST", body=b"{}"))
    assert (answered.status, bool(answered.message)) == (status, not status)


def test_an_address_that_cannot_be_asked_for_is_an_answer() -> None:
    assert look.bare("http://127.0.0.1:1", Question("/a b/v1/messages")).message
