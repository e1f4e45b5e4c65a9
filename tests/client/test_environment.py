"""The old command's variables, row by row of the table they come from."""

import pytest

from aixtiv.environment import OLD_REDIRECT, api_key, client_settings, merged
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret

ALL = {
    "CLAUDE_OAUTH_CLIENT_ID": "claude-id",
    "CLAUDE_OAUTH_CLIENT_SECRET": "claude-secret",
    "CLAUDE_OAUTH_REDIRECT_URI": "https://claude/redirect",
    "CLAUDE_OAUTH_SCOPE": "one two",
    "CLAUDE_OAUTH_TOKEN_ENDPOINT": "https://claude/token",
    "CLAUDE_OAUTH_AUTH_ENDPOINT": "https://claude/authorize",
}


def test_all_six_names_mean_the_anthropic_provider() -> None:
    found = client_settings(ALL, "anthropic")
    assert found.scopes == ("one", "two")
    assert found.settings == ClientSettings(
        client_id="claude-id",
        client_secret=Secret("claude-secret"),
        redirect_uri="https://claude/redirect",
        token_endpoint="https://claude/token",
        authorization_endpoint="https://claude/authorize",
    )


def test_they_mean_no_other_provider() -> None:
    assert client_settings(ALL, "github").settings == ClientSettings()


def test_the_providers_own_name_wins_over_claude_name_by_name() -> None:
    found = client_settings(ALL | {"ANTHROPIC_OAUTH_CLIENT_ID": "own", "ANTHROPIC_OAUTH_SCOPE": "three"}, "anthropic")
    assert (found.settings.client_id, found.scopes) == ("own", ("three",))
    assert found.settings.token_endpoint == "https://claude/token"


def test_any_provider_has_the_six_names() -> None:
    found = client_settings({"MY_COMPANY_OAUTH_CLIENT_ID": "x", "MY_COMPANY_OAUTH_SCOPE": "a b"}, "my-company")
    assert (found.settings.client_id, found.scopes) == ("x", ("a", "b"))


def test_an_old_client_id_brings_the_old_redirect_and_scopes() -> None:
    found = client_settings({"CLAUDE_OAUTH_CLIENT_ID": "x"}, "anthropic")
    assert found.settings.redirect_uri == OLD_REDIRECT == "http://localhost:3000/oauth/callback"
    assert found.scopes == ("code:generate", "code:execute")


def test_nothing_set_means_nothing_said() -> None:
    found = client_settings({"CLAUDE_OAUTH_CLIENT_ID": " "}, "anthropic")
    assert (found.settings, found.scopes) == (ClientSettings(), ())


def test_the_command_line_wins_over_the_environment() -> None:
    found = client_settings(ALL, "anthropic").settings
    both = merged(ClientSettings(client_id="claude-id", token_endpoint="https://line/token"), found)
    assert (both.token_endpoint, both.authorization_endpoint) == ("https://line/token", "https://claude/authorize")
    assert (both.client_secret, both.redirect_uri) == (Secret("claude-secret"), "https://claude/redirect")


def test_another_client_id_takes_neither_the_old_ones_secret_nor_its_redirect() -> None:
    both = merged(ClientSettings(client_id="mine"), client_settings(ALL, "anthropic").settings)
    assert (both.client_id, both.client_secret, both.redirect_uri) == ("mine", None, "")


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({}, ""),
        ({"ANTHROPIC_API_KEY": "new", "DR_CLAUDE_API": "old"}, "new"),
        ({"DR_CLAUDE_API": "old"}, "old"),
        ({"DR_CLAUDE_API": "https://api.example.org/v1/messages"}, ""),
    ],
)
def test_the_api_key_has_a_newer_and_an_older_name(environ: dict[str, str], key: str) -> None:
    assert api_key(environ) == key
