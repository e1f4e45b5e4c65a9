"""Each example of docs/company.md is a config that loads, and a person signs in by it at a server in its place."""

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import tomlkit

from aixtivd.config import Config, load
from docs.pages import Opposite, blocks, desk
from peers.authority.process import Running
from peers.ports import free_port

EXAMPLES: Final = [text for _, text in blocks("docs/company.md", "toml")]
SIGN_INS: Final = [text for text in EXAMPLES if "[provider." in text]


def written(folder: Path, text: str) -> Path:
    """The example as a file, with the one that it names beside it."""
    secret = folder / "client-secret"
    secret.write_text("a secret\n")
    path = folder / "config.toml"
    path.write_text(text.replace("/etc/aixtiv/google-client-secret", str(secret)))
    path.chmod(0o600)
    return path


def ids(text: str) -> str:
    lines = text.splitlines()
    return next((line for line in lines if line.startswith("issuer")), lines[0])


@pytest.mark.parametrize("text", EXAMPLES, ids=ids)
def test_it_is_a_config(folder: Path, text: str) -> None:
    assert load(written(folder, text)) != Config()


def test_google_microsoft_okta_and_keycloak_are_there() -> None:
    page = (Path(__file__).parents[2] / "docs/company.md").read_text()
    assert {"Google", "Microsoft", "Okta", "Keycloak"} <= set(re.findall(r"^## (.*)$", page, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("text", SIGN_INS, ids=ids)
def test_a_person_signs_in_by_it(servers: Opposite, folder: Path, text: str) -> None:
    with desk(servers, folder) as at:
        config = tomlkit.parse(text)
        ((name, table),) = config["provider"].items()
        played(table, servers.server, folder)
        at.machine.configure('[vault]\nkey = "file"\n' + tomlkit.dumps(config))
        assert "signed in" in at.typed_well(f"aixtiv login {name}").out
        assert at.typed_well(f"aixtiv token {name}").out.startswith("at-")


def played(table: dict[str, Any], server: Running, folder: Path) -> None:
    """The provider's part: our server's addresses, clients and scopes in the place of its own. The rest stays."""
    if "authorization-endpoint" in table:
        table["authorization-endpoint"] = f"{server.issuer}/authorize"
        table["token-endpoint"] = f"{server.issuer}/token"
    else:
        table["issuer"] = server.issuer
    table["client-id"] = "native"
    table["scopes"] = ["email"] if "authorization-endpoint" in table else ["openid", "email", "offline_access"]
    if "client-secret-file" in table:
        secret = folder / "client-secret"
        secret.write_text(f"{server.secret}\n")
        table |= {"client-id": "post", "client-auth": "post", "client-secret-file": str(secret)}
    if (fixed := urlsplit(table.get("redirect-uri", ""))).port:
        table["redirect-uri"] = fixed._replace(netloc=f"127.0.0.1:{free_port()}").geturl()
