"""A client registers itself: what it asks for, what it takes for an answer, and when the one from before will do."""

import json
from typing import Any

import msgspec
import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.errors import AixtivError, NoProvider, Refused, SignInFailed, Unreachable
from aixtivd.oauth.client import Client
from aixtivd.oauth.discovery import Metadata
from aixtivd.oauth.registration import forgotten, kept, registered, way_to_prove
from aixtivd.oauth.web import Web
from peers.authorization import AuthorizationServer, Settings
from peers.canned import Shelf, raw, shelf

REDIRECT = "http://127.0.0.1:4711/callback"


def unregistered(endpoint: str = "https://as.example/register", **more: Any) -> Client:
    known: dict[str, Any] = {
        "provider": "mcp",
        "client_id": "",
        "issuer": "https://as.example",
        "token_endpoint": "https://as.example/token",
        "registration_endpoint": endpoint,
    }
    return Client(**(known | more))


def known(**more: Any) -> Client:
    return unregistered(**({"client_id": "c", "redirect_uri": REDIRECT} | more))


def answering(there: Shelf, body: Any, status: int = 201) -> Client:
    there.put("/register", body, status, Content_Type="application/json")
    return unregistered(f"{there.url}/register")


async def test_it_asks_for_what_it_needs_and_no_secret(web: Web) -> None:
    async with AuthorizationServer(Settings(registration=True, device=True)) as server:
        client = unregistered(
            f"{server.issuer}/register",
            registered_scopes=("a", "b"),
            device_authorization_endpoint=f"{server.issuer}/device_authorization",
        )
        found = await registered(web, client, REDIRECT)
        (asked,) = (one.asked for one in server.endpoints.clients.registered.values())
        assert asked == {
            "client_name": "aixtiv",
            "application_type": "native",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "a b",
        }
        assert found.client_id in server.endpoints.clients.registered
        assert (found.client_secret, found.client_auth, found.redirect_uri) == (None, "none", REDIRECT)
        assert found.registered_scopes == ("a", "b")


async def test_a_secret_that_it_is_given_is_kept_hidden(web: Web) -> None:
    async with AuthorizationServer(Settings(registration=True, auth_methods=("client_secret_post",))) as server:
        found = await registered(web, unregistered(f"{server.issuer}/register", client_auth="post"), REDIRECT)
        assert found.client_auth == "post"
        secret = server.endpoints.clients.secret(found.client_id)
        assert found.client_secret == Secret(secret)
        assert secret
        assert secret not in repr(found)


async def test_who_has_an_id_registers_nowhere(web: Web) -> None:
    nobody = unregistered("http://127.0.0.1:1/register")
    for client in (
        msgspec.structs.replace(nobody, client_id="c"),
        msgspec.structs.replace(nobody, registration_endpoint=""),
    ):
        assert await registered(web, client, REDIRECT) is client


async def test_scopes_that_the_server_does_not_know_are_left_out_the_second_time(web: Web) -> None:
    heard: list[dict[str, Any]] = []

    async def talk(reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        heard.append(json.loads(await reader.readexactly(length)))
        status, body = (
            (400, b'{"error": "invalid_client_metadata"}') if "scope" in heard[-1] else (201, b'{"client_id": "c"}')
        )
        writer.write(
            b"HTTP/1.1 %d x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (status, len(body), body)
        )
        await writer.drain()

    async with raw(talk) as port:
        client = unregistered(f"http://127.0.0.1:{port}/register", registered_scopes=("of:the-resource",))
        found = await registered(web, client, REDIRECT)
    assert ["scope" in one for one in heard] == [True, False]
    assert found.registered_scopes == ()  # so it may ask for any


@pytest.mark.parametrize(
    ("said", "auth", "secret"),
    [
        ({"client_id": "c"}, "none", None),
        ({"client_id": "c", "client_secret": "s"}, "none", None),  # asked for without, and it says nothing else
        ({"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "client_secret_basic"}, "basic", "s"),
        ({"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "client_secret_post"}, "post", "s"),
        ({"client_id": "c", "client_secret": "", "token_endpoint_auth_method": "none"}, "none", None),
    ],
)
async def test_what_the_server_made_of_it_counts(web: Web, said: Any, auth: str, secret: str | None) -> None:
    async with shelf() as there:
        found = await registered(web, answering(there, said), REDIRECT)
        assert (found.client_auth, found.client_secret) == (auth, Secret(secret) if secret else None)


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (400, {"error": "invalid_redirect_uri", "error_description": "no"}, Refused, "invalid_redirect_uri: no"),
        (401, {"error": "invalid_token"}, Refused, "invalid_token"),
        (403, "<html>", NoProvider, r"registers no clients by itself \(403\)"),
        (404, "", NoProvider, r"registers no clients by itself \(404\)"),
        (302, "", Refused, "leads elsewhere, which is not followed"),
        (429, {}, Unreachable, "answered 429"),
        (503, "", Unreachable, "answered 503"),
        (200, "<html>welcome", SignInFailed, "something that is none"),
        (201, "[]", SignInFailed, "something that is none"),
        (201, {}, SignInFailed, "something that is none"),
        (201, {"client_id": 7}, Refused, "an id that cannot be one"),
        (201, {"client_id": ""}, Refused, "an id that cannot be one"),
        (201, {"client_id": "a\nb"}, Refused, "an id that cannot be one"),
        (201, {"client_id": "c" * 5000}, Refused, "an id that cannot be one"),
        (201, {"client_id": "c", "client_secret": ["s"]}, Refused, "a secret that cannot be one"),
        (201, {"client_id": "c", "token_endpoint_auth_method": "private_key_jwt"}, Refused, "does not know"),
        (201, {"client_id": "c", "token_endpoint_auth_method": 7}, Refused, "does not know"),
        (201, {"client_id": "c", "token_endpoint_auth_method": "client_secret_basic"}, Refused, "gave it none"),
    ],
)
async def test_an_answer_that_is_no_client_is_a_sentence(
    web: Web, status: int, body: Any, kind: type[AixtivError], sentence: str
) -> None:
    async with shelf() as there:
        with pytest.raises(kind, match=sentence):
            await registered(web, answering(there, body, status), REDIRECT)


@pytest.mark.parametrize("said", [0, -1, "soon", 2**60, None, True])
async def test_an_end_of_a_secret_that_cannot_be_one_is_none(web: Web, said: Any) -> None:
    body = {"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "client_secret_basic"}
    async with shelf() as there:
        found = await registered(web, answering(there, body | {"client_secret_expires_at": said}), REDIRECT)
        assert found.secret_ends_at == 0


@pytest.mark.parametrize(
    ("methods", "way"),
    [
        (None, "none"),
        (("none", "client_secret_basic"), "none"),
        (("client_secret_post", "client_secret_basic"), "basic"),
        (("client_secret_post",), "post"),
    ],
)
def test_it_proves_itself_by_nothing_unless_it_must(methods: tuple[str, ...] | None, way: str) -> None:
    found = Metadata(issuer="", token_endpoint_auth_methods_supported=methods)
    assert way_to_prove(found, "as.example") == way


def test_a_server_that_takes_none_of_our_ways_is_refused() -> None:
    with pytest.raises(NoProvider, match=r"as\.example takes no client"):
        way_to_prove(Metadata(issuer="", token_endpoint_auth_methods_supported=("private_key_jwt",)), "as.example")


def test_the_client_from_before_is_kept_with_its_secret_and_its_port() -> None:
    old = known(client_secret=Secret("s"), client_auth="basic", scopes=("a",), registered_scopes=("a", "b"))
    new = kept(unregistered(scopes=("a", "b"), resource="https://mcp.example"), old)
    assert (new.client_id, new.client_secret, new.client_auth, new.redirect_uri) == (
        "c",
        Secret("s"),
        "basic",
        REDIRECT,
    )
    assert (new.scopes, new.resource) == (("a", "b"), "https://mcp.example")


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ({}, {"issuer": "https://other.example"}),
        ({}, {"token_endpoint": "https://other.example/token"}),
        ({}, {"client_id": ""}),
        ({"redirect_uri": "http://localhost:1/x"}, {}),
        ({"scopes": ("c",)}, {"registered_scopes": ("a",)}),
    ],
)
def test_no_server_hears_of_a_client_that_is_not_its_own_or_not_good_for_this(
    new: dict[str, Any], old: dict[str, Any]
) -> None:
    assert kept(unregistered(**new), known(client_secret=Secret("s"), **old)).client_id == ""
    assert kept(unregistered(**new), known(client_secret=Secret("s"), **old)).client_secret is None


def test_only_what_was_registered_is_forgotten() -> None:
    old = known(client_secret=Secret("s"), client_auth="basic", scopes=("a",), secret_ends_at=7)
    anew = forgotten(old)
    assert anew == unregistered(client_auth="basic", scopes=("a",), registered_scopes=("a",))
    assert forgotten(known(registration_endpoint="")) is None
    assert anew is not None
    assert forgotten(anew) is None
