"""Tickets that tools were handed, the helper that gets them, the log, and names in the config: each fault is found."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from aixtiv.doctor import audit, claude, handed, names, network
from aixtiv.doctor.situation import Answered, Question, Situation
from aixtiv.failures import Locked
from aixtiv_protocol import replies
from aixtivd.oauth import providers
from peers.patient import STATUS, TICKET, only, program, with_shell

OURS = replies.Account(name="anthropic", provider="anthropic", kind="api-key", state="static")
DEAD = Answered(401, "authentication_error", "that ticket is no longer good: it was revoked")


def with_accounts(here: Situation, *accounts: replies.Account) -> Situation:
    return structs.replace(here, status=structs.replace(STATUS, accounts=accounts, gateway_port=27823))


@pytest.mark.parametrize(
    ("answered", "verdict"),
    [
        (DEAD, "wrong"),
        (Answered(200), "fine"),
        (Answered(401, "authentication_error", "invalid x-api-key"), "fine"),
        (Answered(message="connection refused"), "skipped"),
    ],
)
@pytest.mark.parametrize("base_url", ["http://127.0.0.1:4711", "https://elsewhere.example.org", ""])
def test_a_dead_ticket_in_the_shell_is_found_by_asking_this_machine_alone(
    here: Situation, answered: Answered, verdict: str, base_url: str
) -> None:
    asked: list[str] = []

    def bare(origin: str, question: Question) -> Answered:
        asked.append(origin)
        assert ("authorization", f"Bearer {TICKET}") in question.headers
        return answered

    shell = with_shell(with_accounts(here), ANTHROPIC_AUTH_TOKEN=TICKET, ANTHROPIC_BASE_URL=base_url)
    found = only(handed.check_ticket(structs.replace(shell, bare=bare)))
    assert (found.name, found.verdict) == ("ticket", verdict)
    assert asked == ["http://127.0.0.1:4711" if "127" in base_url else "http://127.0.0.1:27823"]
    assert found.hint == ('eval "$(aixtiv setup env --yes)"' if verdict == "wrong" else "")


def test_a_dead_ticket_in_the_sdks_profile_is_found(here: Situation) -> None:
    for part, tree in (("configs", {"base_url": "http://127.0.0.1:4711"}), ("credentials", {"access_token": TICKET})):
        file = here.home / ".config/anthropic" / part / "aixtiv.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(tree))
    found = only(handed.check_ticket(structs.replace(here, bare=lambda *_: DEAD)))
    assert (found.verdict, found.hint) == ("wrong", "aixtiv setup sdk-profile")
    assert "it was revoked" in found.sentence


@pytest.mark.parametrize(
    ("helper", "verdict", "hint"),
    [
        ("OURS claude-key", "fine", ""),
        ("OURS claude-key anthropic", "fine", ""),
        ("aixtiv claude-key", "fine", ""),
        ("/gone/aixtiv claude-key", "wrong", "aixtiv setup claude-code"),
        ("gone-aixtiv claude-key", "wrong", "aixtiv setup claude-code"),
        ("OURS claude-key anthropic/none", "wrong", "aixtiv login anthropic/none"),
        ("/usr/bin/pass show key", "skipped", ""),
        ("a quote's half", "skipped", ""),
        ("", "skipped", ""),
    ],
)
def test_a_helper_that_cannot_help_is_found(
    here: Situation, folder: Path, helper: str, verdict: str, hint: str
) -> None:
    ours = program(folder / "bin/aixtiv", "#!/usr/bin/python3\n")
    settings = here.home / ".claude/settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"apiKeyHelper": helper.replace("OURS", str(ours))}))
    found = only(handed.check_helper(with_accounts(here, OURS)))
    assert (found.name, found.verdict, found.hint) == ("helper", verdict, hint)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (replies.AuditVerdict(intact=True, records=7), "fine"),
        (replies.AuditVerdict(intact=False, records=3, problem="record 4 is missing"), "wrong"),
        (replies.AuditVerdict(intact=True, records=7, problem="the disk is full"), "wrong"),
        (None, "skipped"),
    ],
)
def test_an_altered_log_is_a_fault(here: Situation, verdict: replies.AuditVerdict | None, said: str) -> None:
    found = only(audit.check(structs.replace(here, audited=verdict, unaudited=None if verdict else Locked())))
    assert (found.name, found.verdict) == ("audit", said)
    assert (verdict.problem if verdict else "locked") in found.sentence


@pytest.mark.parametrize(
    ("tables", "verdict", "meant"),
    [
        ({"api": {"anthropc": {"origin": "https://x"}}}, "wrong", "did you mean anthropic?"),
        ({"provider": {"githb": {"client-id": "x"}}}, "wrong", "did you mean github?"),
        ({"provider": {"github2": {"issuer": "https://x"}}, "api": {"github2": {}, "anthropic": {}}}, "fine", ""),
        ({"api": {"anthropic": {}, "weather": {}}}, "fine", ""),
        ({}, "skipped", ""),
        ({"api": 7}, "skipped", ""),
    ],
)
def test_a_name_in_the_config_that_is_nearly_one_is_found(
    here: Situation, tables: dict[str, Any], verdict: str, meant: str
) -> None:
    found = only(names.check(structs.replace(here, tables=tables)))
    assert (found.name, found.verdict) == ("config-names", verdict)
    assert meant in found.sentence


def test_the_providers_that_need_no_config_are_the_daemons() -> None:
    found = {file.stem for file in Path(providers.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(names.READY) == found


@pytest.mark.parametrize(
    ("tables", "accounts", "verdict"),
    [
        ({}, (), "skipped"),
        ({"claude": {"account": "anthropic/none"}}, (), "wrong"),
        ({}, ("anthropic/a", "anthropic/b"), "wrong"),
    ],
)
def test_accounts_of_which_none_is_meant_are_a_fault(
    here: Situation, tables: dict[str, Any], accounts: tuple[str, ...], verdict: str
) -> None:
    there = with_accounts(here, *(structs.replace(OURS, name=name) for name in accounts))
    said = Answered(message="no account was named", hint="export AIXTIV_ACCOUNT=anthropic/a", code="no_account")
    found = only(claude.check_api(structs.replace(there, tables=tables, relay=lambda _: said)))
    assert (found.name, found.verdict) == ("claude-api", verdict)
    if verdict == "wrong":
        assert "no account was named" in found.sentence
        assert found.hint == (f"$EDITOR {here.config}" if tables else said.hint)


def test_no_hint_of_the_doctors_leads_back_to_the_doctor(here: Situation) -> None:
    said = Answered(message="api.example.org: connection refused", hint="aixtiv doctor", code="unreachable")
    found = only(claude.check_api(structs.replace(here, relay=lambda _: said)))
    assert "[network] proxy, or [api.NAME] origin with its port" in found.sentence
    assert found.hint == f"$EDITOR {here.config}"


def test_the_hint_for_a_sign_in_without_a_browser_can_be_typed(here: Situation) -> None:
    bare = only(network.check_browser(here))
    named = only(network.check_browser(structs.replace(here, account="work")))
    assert (bare.hint, named.hint) == ("aixtiv login github --no-browser", "aixtiv login work --no-browser")
    there = structs.replace(OURS, name="work", kind="oauth", state="fresh")
    assert only(network.check_browser(with_accounts(here, there))).hint == "", "it is signed in"
    over = structs.replace(there, name="job", state="quarantined")
    assert only(network.check_browser(with_accounts(here, there, over))).hint == "aixtiv login job --no-browser"
