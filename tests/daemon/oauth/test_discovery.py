"""Metadata: where it is looked for, and what is not believed."""

import json
from typing import Any

import pytest

from aixtivd.config import Network
from aixtivd.errors import Misconfigured, NoProvider, Unreachable
from aixtivd.oauth.discovery import discover
from aixtivd.oauth.web import Answer, Web
from peers.authorization import AuthorizationServer, Settings
from peers.canned import raw, shelf

OIDC = "/.well-known/openid-configuration"
RFC8414 = "/.well-known/oauth-authorization-server"


def published(issuer: str, **more: Any) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/a",
        "token_endpoint": f"{issuer}/t",
        "unknown": {"field": [1]},
    } | more


async def test_a_server_tells_all_its_endpoints(web: Web) -> None:
    async with AuthorizationServer() as server:
        found = await discover(web, server.issuer)
        assert found.issuer == server.issuer
        assert found.token_endpoint == f"{server.issuer}/token"
        assert found.jwks_uri == f"{server.issuer}/jwks"
        assert found.revocation_endpoint == f"{server.issuer}/revoke"
        assert found.iss_supported
        assert found.code_challenge_methods_supported == ("S256",)
        assert "email" in found.scopes_supported


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", OIDC),
        ("", RFC8414),
        ("/tenant", f"/tenant{OIDC}"),
        ("/tenant", f"{RFC8414}/tenant"),
        ("/tenant", f"{OIDC}/tenant"),
        ("/", OIDC),
    ],
)
async def test_every_well_known_place_is_looked_at(web: Web, path: str, place: str) -> None:
    async with shelf() as there:
        issuer = f"{there.url}{path}"
        there.put(place, published(issuer))
        assert (await discover(web, issuer)).token_endpoint == f"{issuer}/t"


async def test_openid_is_asked_first_and_a_web_page_there_is_passed_over(web: Web) -> None:
    async with shelf() as there:
        there.put(OIDC, "<html>welcome", Content_Type="text/html")
        there.put(RFC8414, published(there.url))
        await discover(web, there.url)
        assert there.asked == [OIDC, RFC8414]


async def test_metadata_that_speaks_for_another_issuer_is_not_believed(web: Web) -> None:
    async with shelf() as there:
        there.put(OIDC, published("https://good.example"))
        with pytest.raises(NoProvider, match="speaks for another issuer"):
            await discover(web, there.url)


async def test_a_slash_too_many_is_told_with_what_to_type(web: Web) -> None:
    async with shelf() as there:
        there.put(OIDC, published(f"{there.url}/"))
        with pytest.raises(NoProvider, match="writes itself") as caught:
            await discover(web, there.url)
        assert caught.value.options == f"--issuer {there.url}/"


@pytest.mark.parametrize(
    "field",
    [
        "authorization_endpoint",
        "token_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
        "registration_endpoint",
    ],
)
@pytest.mark.parametrize("url", ["http://elsewhere.example/", "javascript:alert(1)", "https://u:p@x.example/"])
async def test_an_endpoint_that_cannot_be_used_is_refused(web: Web, field: str, url: str) -> None:
    async with shelf() as there:
        there.put(OIDC, published(there.url, **{field: url}))
        with pytest.raises(NoProvider, match="cannot be used"):
            await discover(web, there.url)


@pytest.mark.parametrize(("methods", "fits"), [(["plain"], False), ([], False), (["plain", "S256"], True)])
async def test_a_server_that_does_not_take_s256_is_refused(web: Web, methods: list[str], fits: bool) -> None:
    async with shelf() as there:
        there.put(OIDC, published(there.url, code_challenge_methods_supported=methods))
        if fits:
            assert (await discover(web, there.url)).issuer == there.url
        else:
            with pytest.raises(NoProvider, match="S256"):
                await discover(web, there.url)


@pytest.mark.parametrize(
    "body", ["[]", "{}", '{"issuer": 7}', '{"a":' * 3000, "", '{"issuer": "x", "token_endpoint": 1}']
)
async def test_nonsense_is_no_metadata(web: Web, body: str) -> None:
    async with shelf() as there:
        there.put(OIDC, body)
        with pytest.raises(NoProvider, match="publishes nothing"):
            await discover(web, there.url)


async def test_a_server_without_metadata_has_none(web: Web) -> None:
    async with AuthorizationServer(Settings(claude=True)) as server:
        with pytest.raises(NoProvider, match=server.issuer):
            await discover(web, server.issuer)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_passing_trouble_is_said_to_pass(web: Web, status: int) -> None:
    async with shelf() as there:
        there.put(OIDC, status=status)
        there.put(RFC8414, published(there.url))
        with pytest.raises(Unreachable, match=str(status)):
            await discover(web, there.url)


async def test_a_server_that_is_not_there_is_unreachable(web: Web) -> None:
    async def hang_up(*_: object) -> None:
        pass

    async with raw(hang_up) as port:
        pass
    with pytest.raises(Unreachable):
        await discover(web, f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("issuer", ["http://provider.example", "provider.example", ""])
async def test_an_issuer_is_an_https_url(web: Web, issuer: str) -> None:
    with pytest.raises(Misconfigured):
        await discover(web, issuer)


async def test_a_redirect_does_not_lead_to_other_metadata(web: Web) -> None:
    async with shelf() as there:
        there.put(OIDC, status=302, Location=f"{there.url}/elsewhere")
        there.put("/elsewhere", published(there.url))
        with pytest.raises(NoProvider):
            await discover(web, there.url)
        assert "/elsewhere" not in there.asked


class Remote(Web):
    """A web in which every server says the same."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(Network())
        self._said = json.dumps(said).encode()

    async def send(self, method: str, url: str, **how: Any) -> Answer:
        return Answer(200, {}, self._said)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:2375/x",
        "http://localhost:631/",
        "http://[::1]:9/",
        "https://127.0.0.1/",
        "https://localhost./",
        "https://db.localhost/",
        "https://127.1/",
        "https://0/",
        "https://0x7f000001/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::]/",
    ],
)
@pytest.mark.parametrize("field", ["token_endpoint", "jwks_uri", "userinfo_endpoint"])
async def test_a_server_elsewhere_cannot_make_us_knock_on_this_machine(url: str, field: str) -> None:
    issuer = "https://evil.example"
    assert (await discover(Remote(published(issuer)), issuer)).issuer == issuer
    with pytest.raises(NoProvider, match="an address on this machine"):
        await discover(Remote(published(issuer, **{field: url})), issuer)
