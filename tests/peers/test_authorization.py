"""The project's own authorization server as a process, and a person who walks through its pages."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.clock import SystemClock
from aixtivd.config import Network
from aixtivd.oauth.authorization import authorization_url, new_nonce, new_state, new_verifier
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.outcomes import Granted, NeedsSignIn, TryAgain
from aixtivd.oauth.web import Web
from peers.authority import weather
from peers.authority.process import Running, authorization_server
from peers.person import redirected, visit
from peers.signing import signed_in

CALLBACK = "http://127.0.0.1:9/callback"


@pytest.fixture
def server() -> Iterator[Running]:
    with authorization_server("--access-ttl", "5") as running:
        yield running


def client(server: Running) -> Client:
    return Client(
        provider="peer",
        client_id="native",
        issuer=server.issuer,
        authorization_endpoint=f"{server.issuer}/authorize",
        token_endpoint=f"{server.issuer}/token",
        scopes=("openid", "email"),
    )


def url(server: Running, redirect_uri: str = CALLBACK, scopes: tuple[str, ...] = ("openid",)) -> str:
    return authorization_url(client(server), redirect_uri, new_state(), new_nonce(), new_verifier(), scopes)


async def test_a_process_obeys_its_weather_and_counts(server: Running) -> None:
    web = Web(Network())
    endpoint = Endpoint(web, SystemClock(), timeout=10)
    tokens = await signed_in(endpoint, client(server))
    assert tokens.expires_in == 5
    assert tokens.refresh_token
    assert tokens.access_token.reveal() in server.issued
    assert server.active(tokens.access_token.reveal(), "native")
    server.tell(access_ttl=9)
    server.set_weather(weather.too_many("3"))
    late = await endpoint.refresh(client(server), tokens.refresh_token)
    assert isinstance(late, TryAgain)
    assert late.retry_after == 3
    fine = await endpoint.refresh(client(server), tokens.refresh_token)
    assert isinstance(fine, Granted)
    assert fine.tokens.expires_in == 9
    assert server.until(refreshes=2)["refreshes"] == 2
    server.tell(end=True)
    assert isinstance(await endpoint.refresh(client(server), fine.tokens.refresh_token or Secret("")), NeedsSignIn)
    assert server.reuses == 0
    await web.aclose()


def test_a_person_ends_at_the_callback_with_a_code_and_an_issuer(server: Running) -> None:
    said = parse_qs(urlsplit(redirected(url(server), CALLBACK)).query)
    assert sorted(said) == ["code", "iss", "state"]
    assert said["iss"] == [server.issuer]


def test_a_person_who_refuses_ends_there_too(server: Running) -> None:
    ended = visit(url(server), refuse=True, stop_at=CALLBACK)
    assert parse_qs(urlsplit(ended.url).query)["error"] == ["access_denied"]


@pytest.mark.parametrize("taken_out", ["code_challenge", "code_challenge_method", "state", "nonce", "response_type"])
def test_a_request_without_what_protects_it_is_refused(server: Running, taken_out: str) -> None:
    whole = url(server)
    cut = "&".join(part for part in whole.split("&") if not part.startswith(f"{taken_out}="))
    cut = cut.replace("response_type=code&", "") if taken_out == "response_type" else cut
    assert cut != whole
    assert "error=" in visit(cut, stop_at=CALLBACK).url


@pytest.mark.parametrize(
    "redirect_uri", ["http://evil.example/callback", "https://127.0.0.1/callback", "http://127.0.0.1:9/other"]
)
def test_a_redirect_elsewhere_ends_at_the_servers_own_page(server: Running, redirect_uri: str) -> None:
    page = visit(url(server, redirect_uri))
    assert page.status == 400
    assert "redirect_uri" in page.text


def test_a_scope_that_is_not_for_this_client_is_refused_by_name(server: Running) -> None:
    ended = visit(url(server, scopes=("openid", "api:write")), stop_at=CALLBACK)
    assert parse_qs(urlsplit(ended.url).query)["error"] == ["invalid_scope"]
