"""What is wrong on the way to Claude's API, and in the old command's files."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from aixtiv.doctor import claude, old
from aixtiv.doctor.examination import CHECKS
from aixtiv.doctor.finding import Finding
from aixtiv.doctor.situation import Answered, Question, Situation
from aixtiv.failures import NotRunning
from aixtiv_protocol import replies
from peers.patient import KEY, STATUS, only, with_shell

# ---- Claude's endpoint


class Api:
    """Claude's rules for paths, headers and versions, as far as the checks ask for them; what it heard.

    `strict`: who shows no credential hears 401 whatever the path. `account`: where the daemon takes its credential.
    """

    def __init__(self, *origins: str, strict: bool = False, account: str = "https://api.anthropic.com") -> None:
        self._origins = origins
        self._strict = strict
        self._account = account
        self.heard: list[tuple[str, Question]] = []
        self.relayed: list[Question] = []

    def bare(self, origin: str, question: Question) -> Answered:
        self.heard.append((origin, question))
        if origin not in self._origins:
            return Answered(message="connection refused")
        if self._is_there(question) or self._strict:
            return Answered(401, "authentication_error", "x-api-key header is required")
        return Answered(404, "not_found_error", "Not found")

    def relay(self, question: Question) -> Answered:
        self.relayed.append(question)
        if question.endpoint not in ("", self._account):
            return Answered(message="this account is bound elsewhere", code="denied")
        if not question.path.startswith("/v1/"):
            return Answered(message="not a path of Claude's", code="bad_request")
        return self._answered(question, dict(question.headers).get("anthropic-version", ""))

    def _answered(self, question: Question, version: str) -> Answered:
        if not version:
            return Answered(400, "invalid_request_error", "anthropic-version: header is required")
        if version != "2023-06-01":
            return Answered(400, "invalid_request_error", f'anthropic-version: "{version}" is not a valid version')
        if not self._is_there(question):
            return Answered(404, "not_found_error", "Not found")
        if question.method == "POST":
            return Answered(400, "invalid_request_error", "model: Field required")
        return Answered(200, account="anthropic", paid="api-key")

    @staticmethod
    def _is_there(question: Question) -> bool:
        return question.path.partition("?")[0] in ("/v1/messages", "/v1/models")

    def at(self, here: Situation) -> Situation:
        return structs.replace(here, bare=self.bare, relay=self.relay)


def api_config(here: Situation, **api: Any) -> Path:
    path = here.home / ".config/aixtiv/api-config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"claude": {"api": api}}, indent=4) + "\n")
    return path


@pytest.mark.parametrize("name", ["CLAUDE_API_ENDPOINT", "DR_CLAUDE_API"])
@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("https://api.example.org/v1/complete", "https://api.example.org/v1/messages"),
        ("https://api.example.org/claude/v1/mesages", "https://api.example.org/claude/v1/messages"),
        ("https://api.example.org/v1", "https://api.example.org/v1/messages"),
        ("https://api.example.org/messages/", "https://api.example.org/v1/messages"),
        ("https://gone.example.org/v1/messages", "https://api.anthropic.com/v1/messages"),
    ],
)
def test_a_wrong_path_is_found_and_the_right_one_proven(here: Situation, name: str, url: str, right: str) -> None:
    api = Api("https://api.example.org", "https://api.example.org/claude", "https://api.anthropic.com")
    found = only(claude.check_path(api.at(with_shell(here, **{name: url}))))
    assert (found.name, found.verdict, found.hint) == ("claude-path", "wrong", f"export {name}={right}")
    assert f"{right} is right, and answers" in found.sentence
    assert f"{api.heard[0][0]}{api.heard[0][1].path}" in found.sentence


@pytest.mark.parametrize("path", ["/v1/complete", "/messages", "/v1", "/api/messages"])
def test_a_wrong_path_is_found_also_where_whoever_shows_no_credential_hears_401(here: Situation, path: str) -> None:
    where = "https://api.example.org"
    for account in (where, "https://api.anthropic.com"):
        api = Api(where, strict=True, account=account)
        found = only(claude.check_path(api.at(with_shell(here, CLAUDE_API_ENDPOINT=where + path))))
        assert (found.verdict, found.hint) == ("wrong", f"export CLAUDE_API_ENDPOINT={where}/v1/messages")
        right = only(claude.check_path(api.at(with_shell(here, CLAUDE_API_ENDPOINT=f"{where}/v1/messages"))))
        assert right.verdict == "fine"


@pytest.mark.parametrize(
    "url", ["https://api.example.org/v1/messages", "https://api.example.org", "https://api.example.org/"]
)
def test_a_right_path_is_fine(here: Situation, url: str) -> None:
    api = Api("https://api.example.org")
    assert only(claude.check_path(api.at(with_shell(here, CLAUDE_API_ENDPOINT=url)))).verdict == "fine"


def test_where_nothing_answers_nothing_is_called_right(here: Situation) -> None:
    found = only(
        claude.check_path(Api(account="").at(with_shell(here, CLAUDE_API_ENDPOINT="https://gone.example.org/v1/x")))
    )
    assert "does not answer as Claude does (connection refused)" in found.sentence
    assert "is right" not in found.sentence


def test_a_page_that_says_401_to_everything_is_not_claude(here: Situation) -> None:
    shell = with_shell(here, CLAUDE_API_ENDPOINT="https://portal.example.org/v1/messages")
    found = only(claude.check_path(structs.replace(shell, bare=lambda *_: Answered(401))))
    assert found.verdict == "wrong"


def test_a_wrong_path_in_the_old_file_is_mended_and_the_file_kept(here: Situation) -> None:
    path = api_config(here, endpoint="https://api.example.org/v1/complete", version="2023-06-01")
    was = path.read_text()
    situation = Api("https://api.example.org").at(here)
    found = only(claude.check_path(situation))
    assert found.hint == f"$EDITOR {path}"
    assert found.repair
    found.repair.run()
    assert path.read_text() == was.replace("complete", "messages")
    assert path.with_name("api-config.json.before-aixtiv").read_text() == was
    assert only(claude.check_path(situation)).verdict == "fine"


def test_a_variable_in_the_old_file_counts_as_it_stands_in_this_shell(here: Situation) -> None:
    api_config(here, endpoint="${CLAUDE_HOST}/v1/messages")
    api = Api("https://api.example.org")
    assert only(claude.check_path(api.at(with_shell(here, CLAUDE_HOST="https://api.example.org")))).verdict == "fine"


def test_no_credential_is_sent_where_a_path_is_only_tried(here: Situation) -> None:
    api = Api("https://api.example.org")
    shell = with_shell(here, CLAUDE_API_ENDPOINT="https://api.example.org/v1/complete", ANTHROPIC_API_KEY=KEY)
    list(claude.check_path(api.at(shell)))
    names = {name.lower() for _, question in api.heard for name, _ in question.headers}
    assert names == {"content-type", "anthropic-version"}


@pytest.mark.parametrize("headers", [{"anthropic-api-key": "${ANTHROPIC_API_KEY}"}, {"Anthropic-Api-Key": KEY}])
def test_the_header_that_does_not_exist_is_found_and_taken_out(here: Situation, headers: dict[str, str]) -> None:
    path = api_config(here, version="2023-06-01", headers=headers)
    situation = Api("https://api.anthropic.com").at(here)
    found = only(claude.check_header(situation))
    assert (found.name, found.verdict) == ("claude-header", "wrong")
    assert "401 x-api-key header is required" in found.sentence
    assert found.repair
    found.repair.run()
    assert json.loads(path.read_text()) == {"claude": {"api": {"version": "2023-06-01"}}}
    assert path.with_name("api-config.json.before-aixtiv").stat().st_mode & 0o777 == 0o600
    assert only(claude.check_header(situation)).verdict == "fine"


def test_a_header_that_is_named_as_a_value_is_set_right(here: Situation) -> None:
    path = api_config(here, auth={"header": "anthropic-api-key"})
    found = only(claude.check_header(Api().at(here)))
    assert found.repair
    found.repair.run()
    assert json.loads(path.read_text())["claude"]["api"]["auth"]["header"] == "x-api-key"


def test_the_header_is_found_in_claude_codes_variable_too(here: Situation) -> None:
    shell = with_shell(here, ANTHROPIC_CUSTOM_HEADERS=f"X-A: b\nanthropic-api-key: {KEY}")
    found = only(claude.check_header(Api().at(shell)))
    assert (found.verdict, found.hint) == ("wrong", "unset ANTHROPIC_CUSTOM_HEADERS")


@pytest.mark.parametrize("version", ["2022-01-01", "v1", ""])
def test_a_wrong_or_missing_version_is_found_by_asking_and_mended(here: Situation, version: str) -> None:
    path = api_config(here, version=version)
    situation = Api().at(here)
    found = only(claude.check_version(situation))
    assert (found.name, found.verdict) == ("claude-version", "wrong")
    assert "2023-06-01 is right, and answers (200)" in found.sentence
    assert found.repair
    found.repair.run()
    assert json.loads(path.read_text())["claude"]["api"]["version"] == "2023-06-01"
    assert only(claude.check_version(situation)).verdict == "fine"


def test_a_version_that_cannot_be_asked_for_is_not_judged(here: Situation) -> None:
    api_config(here, version="2022-01-01")
    assert only(claude.check_version(here)).verdict == "skipped"


@pytest.mark.parametrize(
    ("answered", "verdict", "hint"),
    [
        (Answered(200, account="anthropic", paid="oauth"), "fine", ""),
        (Answered(401, "authentication_error", "no", account="work"), "wrong", "aixtiv login work"),
        (
            Answered(401, "authentication_error", "no", account="work", paid="api-key"),
            "wrong",
            "aixtiv api-key set work",
        ),
        (Answered(404, "not_found_error", "Not found", account="work"), "wrong", "aixtiv config check"),
        (Answered(500, account="work"), "wrong", "aixtiv status"),
        (Answered(message="connection refused", hint="aixtiv reload", code="unreachable"), "wrong", "aixtiv reload"),
        (Answered(message="no account", code="no_account"), "skipped", "aixtiv api-key set"),
    ],
)
def test_what_the_api_says_to_the_real_call_is_told(
    here: Situation, answered: Answered, verdict: str, hint: str
) -> None:
    found = only(claude.check_api(structs.replace(here, relay=lambda _: answered)))
    assert (found.name, found.verdict, found.hint) == ("claude-api", verdict, hint)


def test_the_real_call_goes_where_the_shell_says(here: Situation) -> None:
    asked: list[Question] = []

    def relay(question: Question) -> Answered:
        asked.append(question)
        return Answered(200)

    shell = with_shell(here, CLAUDE_API_ENDPOINT="https://gate.example.org/claude/v1/messages")
    list(claude.check_api(structs.replace(shell, relay=relay)))
    list(claude.check_api(structs.replace(here, relay=relay)))
    assert [question.endpoint for question in asked] == ["https://gate.example.org/claude", ""]


def test_another_providers_account_is_not_sent_to_claude(here: Situation) -> None:
    ours = replies.Account(name="anthropic", provider="anthropic", kind="api-key", state="static")
    status = structs.replace(STATUS, accounts=(structs.replace(ours, name="github", provider="github"), ours))
    situation = structs.replace(here, status=status, account="github", relay=lambda _: Answered(200))
    assert only(claude.check_api(situation)).verdict == "skipped"
    assert only(claude.check_api(structs.replace(situation, account="anthropic"))).verdict == "fine"


# ---- the old command's files


def test_a_broken_old_file_is_named(here: Situation) -> None:
    path = api_config(here)
    path.write_text("{")
    found = only(old.check_files(here))
    assert (found.name, found.verdict) == ("old-config", "wrong")
    assert str(path) in found.sentence


def test_a_file_in_the_working_folder_is_not_read_and_that_is_said(here: Situation, folder: Path) -> None:
    (folder / "api-config.json").write_text('{"claude": {"api": {"version": "2022-01-01"}}}')
    found = only(old.check_files(here))
    assert (found.verdict, found.hint) == ("skipped", "mv api-config.json ~/.aixtiv/")
    assert only(claude.check_version(Api().at(here))).verdict == "fine"


def test_every_check_gives_a_finding_wherever_it_stands(here: Situation) -> None:
    nowhere = structs.replace(here, environ={}, welcome=None, status=None, trouble=NotRunning())
    checks: tuple[Callable[[Situation], Iterable[Finding]], ...] = CHECKS
    assert all(list(check(nowhere)) for check in checks)
