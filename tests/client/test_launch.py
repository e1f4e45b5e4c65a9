"""What `aixtiv exec` changes in the environment, and what it leaves."""

import pytest

from aixtiv.launch import with_ticket, with_token

URL = "http://127.0.0.1:4000"


def test_the_ticket_stands_under_claudes_names_and_ours_and_all_else_stays() -> None:
    made = with_ticket({"HOME": "/h"}, base_url=URL, ticket="t")
    assert made.environ == {
        "HOME": "/h",
        "ANTHROPIC_BASE_URL": URL,
        "ANTHROPIC_AUTH_TOKEN": "t",
        "AIXTIV_BASE_URL": URL,
        "AIXTIV_TICKET": "t",
    }
    assert made.notes == ()


def test_an_api_key_is_left_out_and_that_is_said() -> None:
    given = {"ANTHROPIC_API_KEY": "sk-secret", "https_proxy": "http://p"}
    made = with_ticket(given, base_url=URL, ticket="t", agent="a1")
    assert "ANTHROPIC_API_KEY" not in made.environ
    assert "ANTHROPIC_API_KEY" in made.notes[0]
    assert "sk-secret" not in made.notes[0]


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("DR_CLAUDE_API", "sk-ant-api03-old", None),
        ("DR_CLAUDE_API", "https://claude.test/v1/messages", "https://claude.test/v1/messages"),
        ("CLAUDE_OAUTH_CLIENT_SECRET", "shh", None),
        ("ANTHROPIC_OAUTH_CLIENT_SECRET", "shh", None),
        ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-x", None),
        ("ANTHROPIC_CUSTOM_HEADERS", "x-api-key: other", None),
        ("ANTHROPIC_CUSTOM_HEADERS", "X-Team: a\n Authorization : Bearer other\nX-B: c", "X-Team: a\nX-B: c"),
        ("ANTHROPIC_CUSTOM_HEADERS", "X-Team: a", "X-Team: a"),
    ],
)
def test_no_other_credential_goes_along_and_that_is_said(name: str, value: str, left: str | None) -> None:
    made = with_ticket({name: value}, base_url=URL, ticket="t")
    assert made.environ.get(name) == left
    said = f"{name} is left out of the command's environment: no other credential goes along"
    assert made.notes == (() if left == value else (said,))


def test_what_is_left_out_is_one_note() -> None:
    given = {"DR_CLAUDE_API": "sk", "ANTHROPIC_API_KEY": "sk", "CLAUDE_OAUTH_CLIENT_SECRET": "s", "CLAUDE_CODE_X": "y"}
    made = with_ticket(given, base_url=URL, ticket="t")
    assert made.environ["CLAUDE_CODE_X"] == "y"
    (note,) = made.notes
    assert note.startswith("ANTHROPIC_API_KEY, CLAUDE_OAUTH_CLIENT_SECRET and DR_CLAUDE_API are left out")


def test_the_environment_that_was_given_is_not_changed() -> None:
    given = {"ANTHROPIC_API_KEY": "sk", "https_proxy": "http://p"}
    with_ticket(given, base_url=URL, ticket="t", agent="a")
    assert given == {"ANTHROPIC_API_KEY": "sk", "https_proxy": "http://p"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"https_proxy": "http://p"}, "127.0.0.1,localhost,::1"),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "corp"}, "corp,127.0.0.1,localhost,::1"),
        ({"HTTP_PROXY": "http://p", "no_proxy": "*"}, "*"),
    ],
)
def test_a_proxy_never_sees_the_ticket(given: dict[str, str], expected: str | None) -> None:
    assert with_ticket(given, base_url=URL, ticket="t").environ.get("no_proxy") == expected


def test_a_token_stands_under_the_name_that_was_chosen_and_nothing_else_changes() -> None:
    made = with_token({"ANTHROPIC_API_KEY": "sk"}, name="GH_TOKEN", token="real")
    assert made.environ == {"ANTHROPIC_API_KEY": "sk", "GH_TOKEN": "real"}
    assert made.notes == ()


def test_a_token_in_claudes_own_variable_is_not_outdone_by_a_key() -> None:
    made = with_token({"ANTHROPIC_API_KEY": "sk"}, name="ANTHROPIC_AUTH_TOKEN", token="real")
    assert made.environ == {"ANTHROPIC_AUTH_TOKEN": "real"}
    assert len(made.notes) == 1


def test_the_agents_id_goes_along() -> None:
    assert with_ticket({}, base_url=URL, ticket="t", agent="a1").environ["AIXTIV_AGENT_ID"] == "a1"
    assert with_token({"AIXTIV_AGENT_ID": "a0"}, name="X", token="t").environ["AIXTIV_AGENT_ID"] == "a0"
