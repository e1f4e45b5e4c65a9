"""The older command's files: what in them can be sealed or taken over, and what goes on working as it lies."""

import json
from pathlib import Path

import pytest

from aixtiv.importing.find import Accounts, Find
from aixtiv.importing.look import look as everything
from aixtiv.importing.old import look
from aixtiv.settings import API, DESKTOP, OAUTH
from aixtiv_protocol import replies
from aixtiv_protocol.secret import Secret

KEY = "sk-ant-api03-of-a-file-0123456789"
CLIENT = {"clientId": "id", "tokenEndpoint": "https://t", "authEndpoint": "https://a"}
NOBODY = Accounts((), lambda _, __: False)


@pytest.fixture
def environ(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "home/.config"))
    return {"AIXTIV_CONFIG_DIR": str(folder)}


def lies(environ: dict[str, str], name: str, tree: object) -> Path:
    path = Path(environ["AIXTIV_CONFIG_DIR"]) / name
    path.write_text(json.dumps(tree))
    path.chmod(0o600)
    return path


def found(environ: dict[str, str], accounts: Accounts = NOBODY) -> list[Find]:
    finds, troubles = look(environ, accounts)
    assert not troubles
    assert KEY not in repr(finds)
    return finds


def test_an_api_key_is_found_wherever_it_stands(environ: dict[str, str]) -> None:
    path = lies(environ, API, {"claude": {"api": {"auth": {"apiKey": KEY}}}})
    (find,) = found(environ)
    assert (find.deed, find.account, find.value) == ("seal", "anthropic", Secret(KEY))
    assert find.places[0].keys == ("claude", "api", "auth", "apiKey")
    assert find.places[0].path == path


def test_the_name_of_a_variable_is_no_key(environ: dict[str, str]) -> None:
    lies(environ, API, {"claude": {"api": {"auth": {"apiKey": "${ANTHROPIC_API_KEY}", "fallback": "api_key"}}}})
    assert found(environ) == []


def test_a_refresh_token_is_taken_over_with_the_client_that_it_was_issued_to(environ: dict[str, str]) -> None:
    lies(environ, OAUTH, {"providers": {"company": CLIENT | {"scopes": ["a"], "refresh_token": "rt-of-old"}}})
    token, client = found(environ)
    assert (token.deed, token.account, token.value) == ("adopt", "company", Secret("rt-of-old"))
    assert (token.settings.client_id, token.settings.token_endpoint, token.scopes) == ("id", "https://t", ("a",))
    assert (client.what, client.deed, client.account) == ("client id", "sign-in", "company")


def test_a_refresh_token_without_its_client_is_of_no_use_and_that_is_said(environ: dict[str, str]) -> None:
    lies(environ, API, {"claude": {"api": {"auth": {"refresh_token": "rt-of-old"}}}})
    (find,) = found(environ)
    assert (find.deed, find.account) == ("none", "anthropic")
    assert "without the client id" in find.note


def test_a_client_secret_and_an_access_token_are_shown_and_left(environ: dict[str, str]) -> None:
    lies(environ, OAUTH, {"anthropic": CLIENT | {"clientSecret": "hush", "access_token": "at-of-old"}})
    finds = found(environ)
    assert {(find.what, find.deed) for find in finds} == {
        ("client secret", "none"),
        ("access token", "none"),
        ("client id", "sign-in"),
    }
    assert "hush" not in repr(finds)
    assert "at-of-old" not in repr(finds)


def test_a_server_that_signs_in_is_an_account_of_its_name(environ: dict[str, str]) -> None:
    auth = {"type": "oauth2", "client_id": "me", "token_endpoint": "https://t", "auth_endpoint": "https://a"}
    lies(environ, DESKTOP, {"servers": {"ctt-mcp": {"url": "https://m", "auth": auth}}})
    (find,) = found(environ)
    assert (find.account, find.deed) == ("ctt-mcp", "sign-in")


def test_what_is_signed_in_is_left_as_it_is(environ: dict[str, str]) -> None:
    lies(environ, OAUTH, {"company": CLIENT | {"refresh_token": "rt-of-old"}})
    account = replies.Account(name="company", provider="company", kind="oauth", state="quarantined")
    assert [find.deed for find in found(environ, Accounts((account,), lambda _, __: False))] == ["none", "none"]


def test_a_file_that_is_wrong_is_said_and_the_others_are_read(environ: dict[str, str]) -> None:
    lies(environ, API, {"claude": {"api": {"auth": {"apiKey": KEY}}}})
    (Path(environ["AIXTIV_CONFIG_DIR"]) / OAUTH).write_text("{")
    finds, troubles = look(environ, NOBODY)
    assert [find.what for find in finds] == ["API key"]
    assert len(troubles) == 1
    assert "is not JSON" in troubles[0]


def test_what_cannot_be_known_while_another_file_is_wrong_is_said_so(environ: dict[str, str]) -> None:
    acme = {"clientId": "id", "issuer": "https://acme", "refresh_token": "rt-of-old"}
    lies(environ, OAUTH, {"providers": {"acme": acme, "other": {"clientId": "two"}}})
    broken = Path(environ["AIXTIV_CONFIG_DIR"]) / DESKTOP
    broken.write_text('{"servers": {')
    finds, (trouble,) = look(environ, NOBODY)
    assert [(find.what, find.account) for find in finds] == [
        ("refresh token", "acme"),
        ("client id", "acme"),
        ("client id", "other"),
    ]
    assert {(find.deed, find.note) for find in finds} == {("none", f"not looked at while {broken} cannot be read")}
    assert "is not JSON" in trouble


def test_an_account_is_asked_about_once_though_it_is_found_twice(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lies(environ, OAUTH, {"github": {"clientId": "id"}, "company": CLIENT | {"refresh_token": "rt-of-old"}})
    home = Path(environ["AIXTIV_CONFIG_DIR"]) / "home"
    home.mkdir()
    (home / ".profile").write_text("export GITHUB_OAUTH_CLIENT_ID=id COMPANY_OAUTH_CLIENT_ID=id\n")
    monkeypatch.setenv("AIXTIV_CONFIG_DIR", environ["AIXTIV_CONFIG_DIR"])
    finds, _ = everything(("environment", "old"), (), lambda _, __: False)
    assert [(find.account, find.deed) for find in finds if find.deed != "none"] == [
        ("github", "sign-in"),
        ("company", "adopt"),
    ]
    assert len(finds) == 5


def test_a_provider_that_the_config_describes_can_be_signed_in_to(environ: dict[str, str]) -> None:
    lies(environ, OAUTH, {"acme": {"clientId": "id"}})
    assert [find.deed for find in found(environ)] == ["none"]
    config = Path(environ["AIXTIV_CONFIG_DIR"]) / "home/.config/aixtiv/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[provider.acme]\nissuer = "https://acme.example.org"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIXTIV_CONFIG_DIR", environ["AIXTIV_CONFIG_DIR"])
        finds, _ = everything(("old",), (), lambda _, __: False)
    assert [find.deed for find in finds] == ["sign-in"]
