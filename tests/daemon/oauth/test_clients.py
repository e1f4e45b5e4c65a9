"""Which client we are: ready-made data below the config below the request, and what is said when something lacks."""

from pathlib import Path
from typing import Any

import pytest

from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret
from aixtivd.config import ProviderConfig
from aixtivd.errors import BadConfig, Misconfigured, NoProvider, Unreachable
from aixtivd.oauth.clients import client_for
from aixtivd.oauth.providers import READY
from aixtivd.oauth.web import Web
from peers.authorization import AuthorizationServer, Settings
from peers.canned import shelf

A, T = "https://corp.example/a", "https://corp.example/t"


def asked(**more: Any) -> ClientSettings:
    return ClientSettings(**more)


def configured(**more: Any) -> ProviderConfig:
    return ProviderConfig(**more)


async def test_an_issuer_and_a_client_id_are_enough(web: Web) -> None:
    """No file edited: `aixtiv login NAME --issuer URL --client-id ID`."""
    async with AuthorizationServer() as server:
        client = await client_for(web, "corp", None, asked(issuer=server.issuer, client_id="native"))
        assert client.provider == "corp"
        assert client.issuer == server.issuer
        assert client.token_endpoint == f"{server.issuer}/token"
        assert client.revocation_endpoint == f"{server.issuer}/revoke"
        assert client.introspection_endpoint == f"{server.issuer}/introspect"
        assert client.userinfo_endpoint == f"{server.issuer}/userinfo"
        assert client.jwks_uri == f"{server.issuer}/jwks"
        assert client.scopes == ("openid", "email", "offline_access")
        assert client.client_auth == "none"
        assert client.client_secret is None
        assert client.quirks.expects_iss


async def test_the_request_wins_over_the_config_and_the_config_over_what_is_known(web: Web) -> None:
    config = configured(
        client_id="of-config",
        scopes=("repo",),
        redirect_uri="http://localhost:1/",
        default_lifetime=60,
        punishes_reuse=True,
    )
    client = await client_for(web, "gitlab", config, asked(client_id="of-request"))
    assert client.client_id == "of-request"
    assert client.scopes == ("repo",)
    assert client.redirect_uri == "http://localhost:1/"
    assert client.token_endpoint == READY["gitlab"].token_endpoint
    assert client.quirks.default_lifetime == 60
    assert client.quirks.punishes_reuse
    client = await client_for(web, "gitlab", config, asked(redirect_uri="http://localhost:2/", client_id="x"))
    assert client.redirect_uri == "http://localhost:2/"
    client = await client_for(web, "gitlab", None, asked(client_id="x"))
    assert client.scopes == READY["gitlab"].scopes
    assert client.quirks == READY["gitlab"].quirks


async def test_authorize_parameters_of_the_config_are_added(web: Web) -> None:
    config = configured(client_id="c", client_secret_file="", authorize_parameters={"prompt": "login", "hd": "corp"})
    client = await client_for(web, "google", config, asked(client_secret=Secret("s")))
    assert client.quirks.authorize_parameters == {"access_type": "offline", "prompt": "login", "hd": "corp"}


async def test_another_issuer_takes_away_all_that_was_known_of_the_old_one(web: Web) -> None:
    async with AuthorizationServer() as server:
        client = await client_for(web, "gitlab", None, asked(issuer=server.issuer, client_id="native"))
        urls = (client.authorization_endpoint, client.token_endpoint, client.userinfo_endpoint, client.jwks_uri)
        assert all(url.startswith(server.issuer) for url in urls)


async def test_another_token_server_takes_away_where_tokens_would_be_sent(web: Web) -> None:
    """Else a GitHub Enterprise token would be shown to api.github.com."""
    client = await client_for(
        web, "github", None, asked(client_id="c", client_secret=Secret("s"), token_endpoint="https://ghes.example/t")
    )
    assert client.token_endpoint == "https://ghes.example/t"
    assert client.userinfo_endpoint == ""
    assert client.authorization_endpoint == READY["github"].authorization_endpoint
    assert client.quirks.errors_in_200


async def test_the_old_commands_variables_name_both_endpoints(web: Web) -> None:
    client = await client_for(
        web,
        "anthropic",
        None,
        asked(
            client_id="mine",
            authorization_endpoint="https://auth.example/authorize",
            token_endpoint="https://auth.example/token",
            redirect_uri="http://localhost:3000/oauth/callback",
        ),
    )
    assert client.authorization_endpoint == "https://auth.example/authorize"
    assert client.token_endpoint == "https://auth.example/token"
    assert client.redirect_uri == "http://localhost:3000/oauth/callback"
    assert client.scopes == ("code:generate", "code:execute")
    assert client.quirks == READY["anthropic"].quirks


@pytest.fixture
def secret_file(folder: Path) -> Path:
    path = folder / "secret"
    path.write_text("of-config\n")
    return path


async def test_the_secret_is_read_from_its_file(web: Web, secret_file: Path) -> None:
    config = configured(client_id="c", client_secret_file=str(secret_file), authorization_endpoint=A, token_endpoint=T)
    client = await client_for(web, "corp", config, asked())
    assert client.client_secret == Secret("of-config")
    assert client.client_auth == "basic"
    client = await client_for(web, "corp", config, asked(client_secret=Secret("of-request")))
    assert client.client_secret == Secret("of-request")


@pytest.mark.parametrize(
    "more",
    [{"token_endpoint": "https://evil.example/t"}, {"token_endpoint": "http://127.0.0.1:9/t"}],
)
async def test_a_request_cannot_have_the_configs_secret_sent_elsewhere(
    web: Web, secret_file: Path, more: dict[str, str]
) -> None:
    config = configured(client_id="c", client_secret_file=str(secret_file), authorization_endpoint=A, token_endpoint=T)
    client = await client_for(web, "corp", config, asked(**more))
    assert client.client_secret is None


async def test_a_request_cannot_have_the_configs_secret_sent_to_another_issuer(web: Web, secret_file: Path) -> None:
    config = configured(client_id="c", client_secret_file=str(secret_file), issuer="https://corp.example")
    async with AuthorizationServer() as server:
        client = await client_for(web, "corp", config, asked(issuer=server.issuer))
        assert client.client_secret is None


async def test_a_secret_file_that_cannot_be_read_is_named(web: Web, folder: Path) -> None:
    config = configured(
        client_id="c", client_secret_file=str(folder / "gone"), authorization_endpoint=A, token_endpoint=T
    )
    with pytest.raises(BadConfig, match=r"provider\.corp\.client-secret-file"):
        await client_for(web, "corp", config, asked())


@pytest.mark.parametrize(
    ("methods", "said", "auth"),
    [
        (None, "", "basic"),
        (["client_secret_basic", "client_secret_post"], "", "basic"),
        (["client_secret_post"], "", "post"),
        (["client_secret_post"], "basic", "basic"),
        (["none"], "", "basic"),
    ],
)
async def test_a_client_proves_itself_as_the_server_takes_it(
    web: Web, methods: list[str] | None, said: Any, auth: str
) -> None:
    async with shelf() as there:
        published: dict[str, Any] = {
            "issuer": there.url,
            "authorization_endpoint": f"{there.url}/a",
            "token_endpoint": f"{there.url}/t",
        }
        if methods:
            published["token_endpoint_auth_methods_supported"] = methods
        there.put("/.well-known/openid-configuration", published)
        settings = asked(issuer=there.url, client_id="c", client_secret=Secret("s"), client_auth=said)
        assert (await client_for(web, "corp", None, settings)).client_auth == auth


async def test_google_gets_its_secret_in_the_body(web: Web) -> None:
    client = await client_for(web, "google", None, asked(client_id="c", client_secret=Secret("s")))
    assert client.client_auth == "post"


async def test_known_endpoints_are_not_looked_up_again(web: Web) -> None:
    """Nobody answers at that issuer: were it asked, this would fail."""
    urls = dict.fromkeys(("authorization_endpoint", "token_endpoint", "userinfo_endpoint"), "http://127.0.0.1:1/x")
    client = await client_for(web, "google", None, asked(client_id="c", client_secret=Secret("s")))
    assert client.issuer == "https://accounts.google.com"
    with pytest.raises(Unreachable):
        await client_for(web, "corp", configured(issuer="http://127.0.0.1:1", **urls), asked(client_id="c"))


async def test_endpoints_without_metadata_are_enough_and_the_keys_stay_unknown(web: Web) -> None:
    async with AuthorizationServer(Settings(claude=True)) as server:
        settings = asked(
            issuer=server.issuer,
            client_id="c",
            authorization_endpoint=f"{server.issuer}/authorize",
            token_endpoint=f"{server.issuer}/token",
        )
        client = await client_for(web, "corp", None, settings)
        assert client.jwks_uri == ""
        with pytest.raises(NoProvider, match="publishes nothing"):
            await client_for(web, "corp", None, asked(issuer=server.issuer, client_id="c"))


@pytest.mark.parametrize(
    ("provider", "config", "settings", "sentence", "options"),
    [
        ("corp", None, {}, "nothing is known about the provider corp", "--issuer URL --client-id ID"),
        (
            "corp",
            None,
            {"client_id": "c"},
            "authorization endpoint is missing",
            "--issuer URL --client-id ID",
        ),
        ("corp", {"authorization_endpoint": A}, {"client_id": "c"}, "token endpoint is missing", "--issuer URL"),
        (
            "corp",
            {"issuer": "https://i.example"},
            {},
            "client id at corp is missing",
            "--client-id ID",
        ),
        (
            "github",
            None,
            {},
            "https://github.com/settings/apps",
            "--client-id ID --client-secret",
        ),
        ("github", None, {"client_id": "c"}, "github wants a client secret", "--client-secret"),
        ("google", None, {"client_id": "c"}, "google wants a client secret", "--client-secret"),
        ("gitlab", None, {}, "gitlab wants a client id of your own", "--client-id ID"),
        (
            "corp",
            {"authorization_endpoint": A, "token_endpoint": T, "client_auth": "basic"},
            {"client_id": "c"},
            "corp wants a client secret",
            "--client-secret",
        ),
    ],
)
async def test_what_lacks_is_named_with_what_to_type(
    web: Web,
    provider: str,
    config: dict[str, Any] | None,
    settings: dict[str, Any],
    sentence: str,
    options: str,
) -> None:
    with pytest.raises(NoProvider) as caught:
        await client_for(web, provider, configured(**config) if config else None, asked(**settings))
    assert sentence in caught.value.sentence
    assert options in caught.value.options


async def test_anthropic_without_a_client_id_explains_the_four_ways(web: Web) -> None:
    with pytest.raises(NoProvider) as caught:
        await client_for(web, "anthropic", None, asked())
    sentence = caught.value.sentence
    for words in (
        "aixtiv api-key set ACCOUNT",
        "workload identity federation",
        "aixtiv login ACCOUNT --federation RULE --organization ORG --identity-account NAME",
        "aixtiv login ACCOUNT --ant",
        "aixtiv login ACCOUNT --client-id ID",
        "CLAUDE_OAUTH_CLIENT_ID",
    ):
        assert words in sentence
    assert [line.strip()[0] for line in sentence.splitlines() if line.strip()[:2] in {"1.", "2.", "3.", "4."}] == list(
        "1234"
    )


@pytest.mark.parametrize("field", ["authorization_endpoint", "token_endpoint"])
async def test_an_endpoint_in_plain_http_is_refused_at_once(web: Web, field: str) -> None:
    urls = {"authorization_endpoint": A, "token_endpoint": T} | {field: "http://corp.example/x"}
    with pytest.raises(Misconfigured, match="plain http"):
        await client_for(web, "corp", configured(**urls), asked(client_id="c"))
