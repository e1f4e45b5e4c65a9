"""What providers answer: token endpoints, published keys, ID tokens, metadata."""

import base64
import re
from contextlib import suppress
from functools import cache
from typing import Any, Final, cast

import msgspec

from aixtiv_protocol.secret import Secret
from aixtivd.clock import SystemClock
from aixtivd.errors import AixtivError, SignInFailed, Unreachable
from aixtivd.oauth import answers, discovery
from aixtivd.oauth.client import Client, Quirks
from aixtivd.oauth.document import as_object, beginning
from aixtivd.oauth.federation import as_assertion, good_for
from aixtivd.oauth.identity import ask_userinfo, check_sign_in, check_signature
from aixtivd.oauth.outcomes import Granted, NeedsSignIn, Outcome, Rotated
from aixtivd.oauth.web import Answer, Web, WebFailure
from fuzz.target import Target

_ISSUER: Final = "https://i.example"
_CLIENT: Final = Client(
    provider="p",
    client_id="me",
    token_endpoint=f"{_ISSUER}/token",
    issuer=_ISSUER,
    jwks_uri=f"{_ISSUER}/jwks",
    userinfo_endpoint=f"{_ISSUER}/me",
    client_secret=Secret("a client secret"),
)
_SPENT: Final = "the-refresh-token-that-was-sent"
_LINE: Final = re.compile(rb"(\d{3}) ?([\w/+-]{0,40})(?: ([ -~]{0,40}))?\n")
_QUIRKS: Final = (Quirks(), Quirks(errors_in_200=True, scopes_by_comma=True, error_names={"gone": "invalid_grant"}))


def token_answer(data: bytes) -> None:
    """`200 application/json [Retry-After]`, a line break, the body. There is always an outcome, fit to be shown."""
    line = _LINE.match(data)
    status, kind, after = (int(line[1]), line[2].decode(), line[3] or b"") if line else (200, "application/json", b"")
    headers = {"content-type": kind, "retry-after": after.decode()}
    answer = Answer(status, headers, data[line.end() :] if line else data)
    for quirks in _QUIRKS:
        for refreshes in (True, False):
            found = answers.sort(answer, quirks, 1e9, host="i.example", secrets=(Secret(_SPENT),), refreshes=refreshes)
            _check_outcome(found, status, answer.body)
    for known in (status, 0):
        cut = WebFailure("cut", maybe_sent=True, status=known, headers=headers, body=answer.body)
        _check_rest(answers.sort_failure(cut, 1e9).refresh_token)


def _check_rest(token: Secret | None) -> None:
    """What was read out of an answer that is not whole goes to the provider again, and into the store."""
    assert token is None or (token.reveal() and token.reveal().isprintable()), token


def _check_outcome(found: Outcome, status: int, body: bytes) -> None:
    assert not isinstance(found, NeedsSignIn) or status in {200, 400, 401} or 200 <= status < 300
    assert not isinstance(found, Granted | Rotated) or 200 <= status < 300
    if isinstance(found, Granted):
        token = found.tokens.access_token.reveal()
        assert token.isascii()
        assert token.isprintable()
        assert found.tokens.expires_in is None or found.tokens.expires_in > 0
    else:
        assert found.reason.isprintable(), found.reason
        assert _SPENT not in found.reason


class _Shelf:
    """Stands for the web: every request has the same answer."""

    def __init__(self, body: bytes) -> None:
        self._answer = Answer(200, {"content-type": "application/json"}, body)

    async def send(self, *_: Any, **__: Any) -> Answer:
        return self._answer


def _now(awaitable: Any) -> Any:
    """The result of what waits for nothing."""
    try:
        awaitable.send(None)
    except StopIteration as over:
        return over.value
    raise AssertionError("it waits")


def sign_in(data: bytes) -> None:
    """An ID token, a line break, the keys that its issuer publishes. Nothing that is not signed counts."""
    token, _, keys = data.partition(b"\n")
    text = Secret(token.decode(errors="replace"))
    web = cast("Web", _Shelf(keys))
    with suppress(SignInFailed, Unreachable):
        who = _now(check_sign_in(web, _CLIENT, text, "n", _Clock()))
        assert who.subject
        assert token.split(b".")[2]
    with suppress(Unreachable):
        _now(check_signature(web, _CLIENT, text))
    good_for(text, 1e9)
    as_assertion(text.reveal())


class _Clock(SystemClock):
    def wall(self) -> float:
        return 1e9


def documents(data: bytes) -> None:
    """Metadata, the userinfo answer, and any JSON object, read tolerantly."""
    web = cast("Web", _Shelf(data))
    with suppress(AixtivError):
        _now(discovery.discover(web, _ISSUER))
    found = _now(ask_userinfo(web, _CLIENT, Secret("t")))
    assert found is None or (0 < len(found.subject) <= 255 and found.who.isprintable())
    for alone in (True, False):
        known = as_object(data, alone=alone)
        assert known is None or isinstance(known, dict)


def beginnings(data: bytes) -> None:
    """An object whose end is missing: each member is one that the whole has, too, if it is one."""
    members = beginning(data)
    whole = as_object(data)
    for name, value in members.items():
        msgspec.json.encode((name, value))  # no half of a surrogate pair
    assert whole is None or not members.keys() - whole.keys()


def _answers() -> list[bytes]:
    granted = {
        "access_token": "at",
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": "rt",
        "scope": "a b",
        "id_token": "x.y.z",
    }
    error = {"error": "invalid_grant", "error_description": f"no {_SPENT}", "error_uri": "https://i.example/e"}
    bodies = [granted, {"refresh_token": ["rt"]}, error, {"error": {"type": "invalid_request_error", "message": "m"}}]
    lines = (b"200 application/json\n", b"400 application/json\n", b"429 text/html 17\n", b"302 text/html\n")
    return [line + msgspec.json.encode(body) for body in bodies for line in lines]


@cache
def _sign_ins() -> list[bytes]:
    """Signed with keys of this very moment: a case that is kept holds its own."""
    from joserfc import jwt
    from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

    claims = {"iss": _ISSUER, "sub": "ada", "aud": "me", "nonce": "n", "iat": 10**9, "exp": 10**9 + 600, "email": "a@b"}
    keys = (
        ("ES256", ECKey.generate_key("P-256", {"kid": "1"}, auto_kid=False)),
        ("RS256", RSAKey.generate_key(2048, {"kid": "2"}, auto_kid=False)),
        ("Ed25519", OKPKey.generate_key("Ed25519", {"kid": "3"}, auto_kid=False)),
    )
    found = []
    for name, key in keys:
        token = jwt.encode({"alg": name, "kid": key.kid}, claims, key, algorithms=[name])
        found.append(token.encode() + b"\n" + msgspec.json.encode({"keys": [key.as_dict(private=False)]}))
    shared = OctKey.import_key("a client secret")
    found.append(jwt.encode({"alg": "HS256"}, claims, shared, algorithms=["HS256"]).encode() + b"\n{}")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=")
    return [*found, none + b".e30.\n{}"]


def _beginnings() -> list[bytes]:
    whole = (
        b'{"token_type":"Bearer", "expires_in": 3600, "a":{"b":["c", null]}, "refresh_token":"rt\\u00e5", "scope":"a"}'
    )
    return [whole, whole + b" " * 9 + b"x", *(whole[:end] for end in range(10, len(whole), 20))]


def _documents() -> list[bytes]:
    metadata = {
        "issuer": _ISSUER,
        "authorization_endpoint": f"{_ISSUER}/authorize",
        "token_endpoint": f"{_ISSUER}/token",
        "jwks_uri": f"{_ISSUER}/jwks",
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": True,
    }
    return [
        msgspec.json.encode(metadata),
        b'{"sub":"ada","email":"a@b","name":"Ada"}',
        b'\xef\xbb\xbf{"a":"\\ud800"} x',
    ]


_JSON: Final = (b"\\ud800", b"1e999", b"-1", b"NaN", b"9" * 4400, b'"', b"\xff", b"\xef\xbb\xbf", b"\0", b"[", b"{}")
_OAUTH: Final = (b"invalid_grant", b'"error":', b'"access_token":', b'"refresh_token":', b"\\u001b[31m", b"gone")
_KEYS: Final = (
    b'"alg":"',
    b'"kty":"RSA"',
    b'"d":"AQAB"',
    b"HS256",
    b"none",
    b".",
    b"=",
    b"\n",
    b'"crv":"P-521"',
    b"bm9uZQ",
)

TARGETS: Final = (
    Target(
        "token-answer",
        token_answer,
        _answers,
        words=(*_JSON, *_OAUTH, b"200 application/json\n", b"401 \n", b"503 x 9e9\n"),
    ),
    Target("beginning", beginnings, _beginnings, words=(*_JSON, *_OAUTH, b'{"', b'":', b",", b"}", b"\\ud83d\\ude00")),
    Target("sign-in", sign_in, _sign_ins, longest=4096, words=(*_JSON, *_KEYS)),
    Target(
        "documents",
        documents,
        _documents,
        form="json",
        words=(*_JSON, b"http://127.0.0.1", b"https://[::1", b"https://i.example@x"),
    ),
)
