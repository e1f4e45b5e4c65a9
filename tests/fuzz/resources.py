"""What a protected resource, and the server that it names, may answer: challenge, metadata, a registration."""

from typing import Any, Final, cast

import msgspec

from aixtivd.errors import AixtivError
from aixtivd.oauth.challenge import read_challenge
from aixtivd.oauth.client import Client
from aixtivd.oauth.registration import registered
from aixtivd.oauth.resource import canonical, covers, resource_at, server_of
from aixtivd.oauth.web import Answer, Web, check_url, may_be_loopback
from fuzz.target import Target

_URL: Final = "https://mcp.example/mcp"
_CLIENT: Final = Client(
    provider="p", client_id="", token_endpoint="https://i.example/t", registration_endpoint="https://i.example/r"
)


class _Shelf:
    """Stands for the web: every request has the same answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._answer = Answer(status, headers, body)

    async def send(self, _: str, url: str, **__: Any) -> Answer:
        assert not may_be_loopback(check_url(url).hostname or "")
        return self._answer


def _now(awaitable: Any) -> Any:
    """The result of what waits for nothing; None for a failure, whose sentence is fit to be shown."""
    try:
        awaitable.send(None)
    except StopIteration as over:
        return over.value
    except AixtivError as failure:
        said = failure.sentence
    else:
        raise AssertionError("it waits")
    assert said.isprintable(), said
    return None


def resource(data: bytes) -> None:
    """A challenge, a line break, what every place then answers. Nothing but what is said of this one is believed."""
    line, _, body = data.partition(b"\n")
    header = line.decode(errors="replace")
    said = read_challenge(header)
    assert said is None or all(scope.isprintable() and " " not in scope for scope in said.scope)
    for web in (_Shelf(200, {}, body), _Shelf(401, {"www-authenticate": header}, body)):
        found = _now(resource_at(cast("Web", web), _URL, header))
        if found is not None:
            assert covers(canonical(found.url), _URL)
            assert all(scope.isprintable() for scope in found.known_scopes)
            _now(server_of(cast("Web", web), found))


def registration(data: bytes) -> None:
    """What came back is a client that can be one, or a sentence."""
    for status in (200, 201, 400, 404, 503):
        web = cast("Web", _Shelf(status, {"content-type": "application/json"}, data))
        found = _now(registered(web, _CLIENT, "http://127.0.0.1:1/callback"))
        if found is not None:
            assert found.client_id.isprintable()
            assert (found.client_auth == "none") is (found.client_secret is None)


def _resources() -> list[bytes]:
    metadata = {
        "resource": _URL,
        "authorization_servers": ["https://i.example"],
        "scopes_supported": ["a", "b"],
    }
    server = {
        "issuer": "https://mcp.example",
        "authorization_endpoint": "https://mcp.example/a",
        "token_endpoint": "https://mcp.example/t",
        "registration_endpoint": "https://mcp.example/r",
        "code_challenge_methods_supported": ["S256"],
    }
    challenge = b'Bearer error="insufficient_scope", scope="a b", resource_metadata="https://mcp.example/m"\n'
    return [challenge + msgspec.json.encode(metadata), b"\n" + msgspec.json.encode(server)]


def _registrations() -> list[bytes]:
    return [
        b'{"client_id":"c","client_secret":"s","token_endpoint_auth_method":"client_secret_basic","scope":"a b"}',
        b'{"error":"invalid_client_metadata","error_description":"no"}',
    ]


_WORDS: Final = (
    b"http://127.0.0.1",
    b"https://[::1",
    b"https://mcp.example@x",
    b"null",
    b"\\ud800",
    b"\\u001b[31m",
    b'"',
)

TARGETS: Final = (
    Target("resource", resource, _resources, words=(*_WORDS, b"Bearer ", b"Basic ", b"scope=", b"resource_metadata=")),
    Target("registration", registration, _registrations, form="json", words=(*_WORDS, b"private_key_jwt", b"9" * 30)),
)
