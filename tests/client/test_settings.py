"""The old command's three files: every plausible spelling, every mistake explained by file and key, no value quoted."""

import json
from pathlib import Path
from typing import Any

import pytest

from aixtiv.environment import OLD_CLAUDE_SCOPES, OLD_REDIRECT
from aixtiv.filed import LIMIT, Misread
from aixtiv.settings import API, DESKTOP, OAUTH, Api, api, found_for, strays
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret


@pytest.fixture
def lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`lies(name, tree)` puts a file into the folder of AIXTIV_CONFIG_DIR; `lies.environ` names it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/.config"))
    return Lies(tmp_path)


class Lies:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.environ = {"AIXTIV_CONFIG_DIR": str(folder)}

    def __call__(self, name: str, tree: object, folder: Path | None = None, mode: int = 0o600) -> Path:
        path = (folder or self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(tree if isinstance(tree, str) else json.dumps(tree), encoding="utf-8")
        path.chmod(mode)
        return path


CAMEL = {
    "clientId": "id",
    "clientSecret": "hush",
    "redirectUri": "http://localhost:3000/x",
    "tokenEndpoint": "https://t",
    "authEndpoint": "https://a",
    "defaultScopes": ["one", "two"],
}
SNAKE = {
    "client_id": "id",
    "client_secret": "hush",
    "redirect_uri": "http://localhost:3000/x",
    "token_url": "https://t",
    "authorization_url": "https://a",
    "scopes": "one two",
}
WHOLE = ClientSettings(
    client_id="id",
    client_secret=Secret("hush"),
    redirect_uri="http://localhost:3000/x",
    token_endpoint="https://t",
    authorization_endpoint="https://a",
)


@pytest.mark.parametrize("client", [CAMEL, SNAKE])
@pytest.mark.parametrize("name", ["anthropic", "claude", "Claude"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_provider_is_found_in_every_spelling(lies: Lies, client: object, name: str, wrapped: bool) -> None:
    lies(OAUTH, {"providers": {name: client}} if wrapped else {name: client})
    found = found_for(lies.environ, "anthropic", "anthropic/work")
    assert (found.settings, found.scopes, found.missing) == (WHOLE, ("one", "two"), ())


def test_another_provider_is_not_meant(lies: Lies) -> None:
    lies(OAUTH, {"providers": {"claude": CAMEL}})
    assert found_for(lies.environ, "github", "github").settings == ClientSettings()


def test_no_file_means_nothing_said(lies: Lies) -> None:
    assert found_for(lies.environ, "anthropic", "anthropic").settings == ClientSettings()
    assert api(lies.environ) == Api()


def test_a_client_id_from_a_file_brings_the_old_redirect_and_scopes(lies: Lies) -> None:
    lies(OAUTH, {"anthropic": {"clientId": "id"}})
    found = found_for(lies.environ, "anthropic", "anthropic")
    assert (found.settings.redirect_uri, found.scopes) == (OLD_REDIRECT, OLD_CLAUDE_SCOPES)


def test_the_environment_wins_key_by_key(lies: Lies) -> None:
    lies(OAUTH, {"anthropic": CAMEL})
    environ = lies.environ | {"CLAUDE_OAUTH_TOKEN_ENDPOINT": "https://env", "CLAUDE_OAUTH_SCOPE": "three"}
    found = found_for(environ, "anthropic", "anthropic")
    assert (found.settings.token_endpoint, found.settings.authorization_endpoint) == ("https://env", "https://a")
    assert (found.settings.client_id, found.scopes) == ("id", ("three",))


def test_another_client_id_in_the_environment_takes_neither_the_files_secret_nor_its_redirect(lies: Lies) -> None:
    lies(OAUTH, {"anthropic": CAMEL})
    found = found_for(lies.environ | {"CLAUDE_OAUTH_CLIENT_ID": "other"}, "anthropic", "anthropic").settings
    assert (found.client_id, found.client_secret, found.redirect_uri) == ("other", None, OLD_REDIRECT)


def test_a_servers_sign_in_belongs_to_the_account_of_its_name_and_variables_are_expanded(lies: Lies) -> None:
    auth = {
        "type": "oauth2",
        "client_id": "${CLAUDE_OAUTH_CLIENT_ID}",
        "token_endpoint": "https://${HOST}/token",
        "auth_endpoint": "https://${HOST}/authorize",
    }
    lies(DESKTOP, {"servers": {"ctt-mcp": {"url": "https://mcp", "region": "x", "project": "y", "auth": auth}}})
    found = found_for(lies.environ | {"CLAUDE_OAUTH_CLIENT_ID": "me", "HOST": "h"}, "ctt-mcp", "ctt-mcp")
    assert found.settings.client_id == "me"
    assert found.settings.token_endpoint == "https://h/token"
    assert found.settings.authorization_endpoint == "https://h/authorize"
    assert found_for(lies.environ, "other", "other").settings == ClientSettings()


def test_a_variable_that_is_not_set_is_said_by_file_and_key_and_stops_nothing(lies: Lies) -> None:
    path = lies(OAUTH, {"anthropic": {"clientId": "${NOT_THERE}", "tokenEndpoint": "https://t"}})
    found = found_for(lies.environ, "anthropic", "anthropic")
    assert found.missing == (f"{path}: anthropic.clientId: ${{NOT_THERE}} is not set",)
    assert found.settings == ClientSettings(token_endpoint="https://t")


def test_how_claude_is_called(lies: Lies) -> None:
    auth = {"type": "oauth2", "fallback": "api_key", "scopes": ["code:generate"]}
    lies(API, {"claude": {"api": {"endpoint": "https://e/v1/messages", "version": "2023-06-01", "auth": auth}}})
    assert api(lies.environ) == Api(
        endpoint="https://e/v1/messages", version="2023-06-01", fallback="api-key", scopes=("code:generate",)
    )
    assert found_for(lies.environ, "anthropic", "anthropic/work").scopes == ("code:generate",)


@pytest.mark.parametrize(
    ("word", "fallback"),
    [("api_key", "api-key"), ("api-key", "api-key"), ("none", "none"), (False, "none"), (None, "")],
)
def test_the_fallback_has_its_words(lies: Lies, word: object, fallback: str) -> None:
    lies(API, {"claude": {"api": {"auth": {"fallback": word}}}})
    assert api(lies.environ).fallback == fallback


@pytest.mark.parametrize(
    ("name", "tree", "sentence"),
    [
        (OAUTH, "{", "is not JSON"),
        (OAUTH, "[]", "expected an object"),
        (OAUTH, {"providers": []}, "providers: expected an object"),
        (OAUTH, {"providers": {"anthropic": "hush"}}, "providers.anthropic: expected an object"),
        (OAUTH, {"anthropic": {"clientId": 7}}, "anthropic.clientId: expected a string"),
        (OAUTH, {"anthropic": {"scopes": [7]}}, "anthropic.scopes: expected a list of strings"),
        (
            OAUTH,
            {"anthropic": {"tokenUrl": "hush"}},
            "anthropic.tokenUrl: expected an address that begins with https://",
        ),
        (OAUTH, {"anthropic": {"clientId": "hush", "client_id": "hush"}}, "client_id: says the same as clientId"),
        (
            DESKTOP,
            {"servers": {"anthropic": {"auth": {"type": "hush"}}}},
            'servers.anthropic.auth.type: expected "oauth2"',
        ),
    ],
)
def test_a_mistake_is_explained_by_file_and_key_and_no_value_is_quoted(
    lies: Lies, name: str, tree: object, sentence: str
) -> None:
    path = lies(name, tree)
    with pytest.raises(Misread) as raised:
        found_for(lies.environ, "anthropic", "anthropic")
    assert str(path) in raised.value.sentence
    assert sentence in raised.value.sentence
    assert "hush" not in raised.value.sentence
    assert str(path) in raised.value.hint


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"claude": {"api": {"endpoint": "hush"}}}, "claude.api.endpoint: expected an address"),
        ({"claude": {"api": {"endpoint": "${NOT_THERE}"}}}, "claude.api.endpoint: ${NOT_THERE} is not set"),
        ({"claude": {"api": {"auth": {"fallback": "hush"}}}}, 'claude.api.auth.fallback: expected "api_key" or "none"'),
        ({"claude": {"api": {"auth": {"fallback": True}}}}, 'claude.api.auth.fallback: expected "api_key" or "none"'),
        ({"claude": {"api": {"auth": {"type": "basic"}}}}, 'claude.api.auth.type: expected "oauth2"'),
    ],
)
def test_a_mistake_in_how_claude_is_called_is_explained_too(lies: Lies, tree: object, sentence: str) -> None:
    lies(API, tree)
    with pytest.raises(Misread) as raised:
        api(lies.environ)
    assert sentence in raised.value.sentence
    assert "hush" not in raised.value.sentence


def test_the_folders_have_an_order_and_the_first_file_counts(lies: Lies) -> None:
    def says(folder: Path, version: str) -> None:
        lies(API, {"claude": {"api": {"version": version}}}, folder)

    says(lies.home / ".aixtiv", "home")
    assert api({}).version == "home"
    says(lies.home / ".config/aixtiv", "config")
    assert api({}).version == "config"
    says(lies.folder, "named")
    assert api(lies.environ).version == "named"
    assert api({"AIXTIV_CONFIG_DIR": "."}).version == "config"


def test_the_current_folder_is_never_one_of_them(lies: Lies, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = lies.folder / "clone"
    lies(API, {"claude": {"api": {"endpoint": "https://thief"}}}, clone)
    monkeypatch.chdir(clone)
    assert api({}) == Api()
    assert strays({}, clone) == [API]
    assert strays({"AIXTIV_CONFIG_DIR": str(clone)}, clone) == []


def test_a_file_that_others_can_write_is_refused(lies: Lies) -> None:
    path = lies(API, {}, mode=0o666)
    with pytest.raises(Misread, match="can be written by others") as raised:
        api(lies.environ)
    assert raised.value.hint == f"chmod go-w {path}"


def test_a_file_too_long_is_refused(lies: Lies) -> None:
    lies(API, " " * (LIMIT + 1))
    with pytest.raises(Misread, match="longer"):
        api(lies.environ)


def test_a_byte_order_mark_is_passed_over(lies: Lies) -> None:
    lies(API, '\ufeff{"claude": {"api": {"version": "x"}}}')
    assert api(lies.environ).version == "x"


SECRET = "not-for-anybody-else-4f9c"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", SECRET),
        ("ANTHROPIC_API_KEY", SECRET),
        ("CLAUDE_OAUTH_CLIENT_SECRET", SECRET),
        ("db_password", SECRET),
        ("SSH_AUTH_SOCK", SECRET),
        ("SENTRY_DSN", SECRET),
        ("DB_PW", "made-up"),
        ("AZDO_PAT", "made-up"),
        ("OTP", "made-up"),
        ("AWS_ACCESS", "made-up"),
        ("PLAIN", f"sk-ant-api03-{SECRET}"),
        ("DATABASE_URL", f"postgres://me:{SECRET}@db/x"),
    ],
)
def test_what_looks_like_a_secret_is_put_into_no_address_and_no_header(lies: Lies, name: str, value: str) -> None:
    environ = {**lies.environ, name: value}
    for key, text in (("endpoint", f"https://h/${{{name}}}/v1/messages"), ("version", f"${{{name}}}")):
        path = lies(API, {"claude": {"api": {key: text}}})
        with pytest.raises(Misread, match="may be a secret") as raised:
            api(environ)
        assert raised.value.sentence.startswith(f"{path}: claude.api.{key}: ${{{name}}} ")
        assert SECRET not in raised.value.sentence + raised.value.hint
    lies(API, {})
    for key in ("tokenEndpoint", "authEndpoint", "redirectUri", "issuer"):
        lies(OAUTH, {"anthropic": {key: f"https://h/${{{name}}}"}})
        with pytest.raises(Misread, match="may be a secret"):
            found_for(environ, "anthropic", "anthropic")
    lies(OAUTH, {"anthropic": {"scopes": [f"${{{name}}}"]}})
    with pytest.raises(Misread, match="may be a secret"):
        found_for(environ, "anthropic", "anthropic")


def test_a_clients_id_and_secret_may_come_from_any_variable_and_an_address_from_the_old_ones(lies: Lies) -> None:
    client = {
        "clientId": "${CLAUDE_OAUTH_CLIENT_ID}",
        "clientSecret": "${CLAUDE_OAUTH_CLIENT_SECRET}",
        "tokenEndpoint": "${WORK_OAUTH_TOKEN_ENDPOINT}",
        "authEndpoint": "${WORK_OAUTH_AUTH_ENDPOINT}",
    }
    said = {"CLAUDE_OAUTH_CLIENT_ID": "id", "CLAUDE_OAUTH_CLIENT_SECRET": "hush"}
    said |= {"WORK_OAUTH_TOKEN_ENDPOINT": "https://t", "WORK_OAUTH_AUTH_ENDPOINT": "https://a"}
    lies(OAUTH, {"other": client})
    found = found_for(lies.environ | said, "other", "other").settings
    assert (found.client_id, found.client_secret) == ("id", Secret("hush"))
    assert (found.token_endpoint, found.authorization_endpoint) == ("https://t", "https://a")


@pytest.mark.parametrize(
    ("value", "sentence", "unsaid"),
    [
        ("Gate.example", "not sent to https://gate.example", "not sent to https://${HOST}"),
        ("https://gate.example/v1/messages", "not sent to https://gate.example", "not sent to ${HOST}"),
        ("https://gate.example:443/", "gate.example: name not known", "${HOST}: name not known"),
        ("host", "login --endpoint https://host/v1/messages", "login --endpoint https://${HOST}/v1/messages"),
        ("a", "a word at https://a is said", "${HOST} word at https://${HOST} is said"),
        ("", "nothing is taken out", "nothing is taken out"),
    ],
)
def test_a_sentence_is_said_with_the_variables_name_instead_of_its_value(
    lies: Lies, value: str, sentence: str, unsaid: str
) -> None:
    lies(API, {"claude": {"api": {"endpoint": "https://${HOST}" if "://" not in value else "${HOST}"}}})
    assert api(lies.environ | {"HOST": value}).unsaid(sentence) == unsaid
