"""Which remote MCP servers there are: what is wrong in one file, or entry, shuts out no other."""

import json
from pathlib import Path

import pytest

from aixtiv.command import _path as command_path
from aixtiv.failures import AixtivError, Usage
from aixtiv.mcp.servers import check_complete, known, meant, terms, usable

URL = "https://mcp.house.example/mcp"


@pytest.fixture
def old(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The older command's file, and no other of a person's."""
    monkeypatch.setenv("AIXTIV_CONFIG_DIR", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "x"))
    return folder / "claude.desktop.config.json"


def environ(old: Path) -> dict[str, str]:
    return {"AIXTIV_CONFIG_DIR": str(old.parent)}


def configured(old: Path, text: str = '[mcp.mine]\nurl = "https://h/mcp"\n') -> str:
    config = old.with_name("config.toml")
    config.write_text(text)
    return str(config)


WRONG = {
    "unset": ({"url": "${NOPE}"}, "${NOPE} is not set", "export NOPE=…"),
    "nourl": ({}, "servers.nourl.url: expected", "$EDITOR"),
    "five": (5, "servers.five: expected an object", "$EDITOR"),
    "plain": ({"url": "http://example.org/m"}, "servers.plain.url: that is no address", "$EDITOR"),
    "list": ({"url": "https://h/list"}, "the name of a command", "$EDITOR"),
    "a b": ({"url": "https://h/ab"}, "cannot be called that", "$EDITOR"),
}


def test_an_entry_that_is_wrong_is_listed_as_such_and_the_others_can_be_used(old: Path) -> None:
    old.write_text(json.dumps({"servers": {name: told[0] for name, told in WRONG.items()} | {"ok": {"url": URL}}}))
    config = configured(old)
    found = {server.name: server for server in known(config, environ(old))}
    assert found.keys() == {*WRONG, "ok", "mine"}
    assert [name for name, server in found.items() if not server.wrong] == ["mine", "ok"]
    assert usable("ok", config, environ(old)).url == URL
    for name, (_, sentence, hint) in WRONG.items():
        assert sentence in found[name].wrong
        with pytest.raises(AixtivError) as refused:
            usable(name, config, environ(old))
        assert (refused.value.sentence, refused.value.hint[: len(hint)]) == (found[name].wrong, hint)


def test_a_file_that_cannot_be_read_is_told_and_shuts_out_its_own_alone(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old.write_text('{"servers":')
    config = configured(old)
    server = usable("mine", config, environ(old))
    said = capsys.readouterr().err
    assert "aixtiv: warning: " in said
    assert f"aixtiv: hint: $EDITOR {old}" in said
    assert terms(server, environ(old)).settings.resource == "https://h/mcp"
    assert not known(config, environ(old), tell=False)[1:]
    assert "is not JSON" in capsys.readouterr().err  # of `terms`


def test_no_server_has_the_name_of_a_command(old: Path) -> None:
    config = configured(old, '[mcp.list]\nurl = "https://h/mcp"\n')
    with pytest.raises(AixtivError, match=r"mcp\.list: no server can have the name") as refused:
        usable("list", config, environ(old))
    assert refused.value.hint == f"$EDITOR {config}"
    assert usable("https://h/mcp", config, environ(old)).name == "h/mcp"


def test_a_name_that_is_nearly_right_is_told_as_it_is_to_be_typed(old: Path) -> None:
    config = configured(old)
    with pytest.raises(Usage, match="'mibe'") as refused:
        meant("mibe", config, environ(old), "aixtiv mcp remove", "aixtiv mcp list")
    assert refused.value.hint == "aixtiv mcp remove mine"
    with pytest.raises(Usage) as refused:
        meant("other", config, environ(old), "aixtiv mcp remove", "aixtiv mcp list")
    assert refused.value.hint == "aixtiv mcp list"
    with pytest.raises(Usage) as refused:
        meant("https:/ada:pw@h/mcp", config, environ(old), "aixtiv mcp")
    assert "pw" not in refused.value.sentence + refused.value.hint


def test_nobody_is_sent_to_sign_in_as_any_client_where_a_file_names_one_that_is_not_set(old: Path) -> None:
    entry = {"url": URL, "auth": {"type": "oauth2", "client_id": "${CLAUDE_OAUTH_CLIENT_ID}"}}
    old.write_text(json.dumps({"servers": {"ctt-mcp": entry}}))
    server = usable("ctt-mcp", configured(old), environ(old))
    found = terms(server, environ(old))
    with pytest.raises(
        AixtivError, match=r"servers\.ctt-mcp\.auth\.client_id: \$\{CLAUDE_OAUTH_CLIENT_ID\} is not set"
    ) as refused:
        check_complete(server, found, found.settings.client_id)
    assert refused.value.hint == "export CLAUDE_OAUTH_CLIENT_ID=ID && aixtiv login ctt-mcp"
    check_complete(server, found, "typed")
    found = terms(server, environ(old) | {"CLAUDE_OAUTH_CLIENT_ID": "set"})
    check_complete(server, found, found.settings.client_id)


@pytest.mark.parametrize("words", [["mcp", "https://ada:pw@h/mcp"], ["mcp", "https://h/mcp"]])
def test_an_address_is_part_of_no_hint(words: list[str]) -> None:
    assert command_path(words) == "aixtiv mcp"
