"""The ID token: every check can fail, and nothing signed by anybody but the issuer counts."""

import base64
import hashlib
import hmac
import json
import time
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from aixtiv_protocol.secret import Secret
from aixtivd.clock import SystemClock
from aixtivd.config import Network
from aixtivd.errors import SignInFailed, Unreachable
from aixtivd.oauth.client import Client
from aixtivd.oauth.identity import Identity, check_sign_in, check_signature
from aixtivd.oauth.web import Web
from peers.canned import Shelf, shelf

CLOCK = SystemClock()
ISSUER = "https://issuer.example"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}, auto_kid=False)
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"}, auto_kid=False)
EC = ECKey.generate_key("P-256", {"kid": "ec"}, auto_kid=False)
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"}, auto_kid=False)
SECRET = "a client secret that is long enough for HS256"


def client(there: Shelf | None = None, **more: Any) -> Client:
    known: dict[str, Any] = {
        "provider": "p",
        "client_id": "me",
        "token_endpoint": "https://issuer.example/t",
        "issuer": ISSUER,
        "jwks_uri": f"{there.url}/jwks" if there else "",
    }
    return Client(**(known | more))


class Away(float):
    """Seconds from the moment of the test: tables are read long before it."""


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    said: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "ada",
        "aud": "me",
        "nonce": "n",
        "iat": now,
        "exp": now + 600,
        "email": "ada@example.test",
    }
    said |= {name: time.time() + value if isinstance(value, Away) else value for name, value in more.items()}
    return {name: value for name, value in said.items() if value is not ...}


def signed(said: dict[str, Any], key: Key = RSA, alg: str = "RS256", **header: Any) -> Secret:
    head = {"alg": alg, "kid": key.kid} | header
    with warnings.catch_warnings(action="ignore"):
        return Secret(jwt.encode({name: value for name, value in head.items() if value}, said, key, algorithms=[alg]))


def publish(there: Shelf, *keys: Key, **more: Any) -> None:
    there.put("/jwks", {"keys": [key.as_dict(private=False) for key in keys]} | more)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (RSA, "RS256"),
        (RSA, "RS384"),
        (RSA, "RS512"),
        (RSA, "PS256"),
        (RSA, "PS384"),
        (RSA, "PS512"),
        (EC, "ES256"),
        (ED, "EdDSA"),
        (ED, "Ed25519"),
    ],
)
async def test_a_good_token_says_who_signed_in(web: Web, key: Key, alg: str) -> None:
    async with shelf() as there:
        publish(there, OctKey.generate_key(256), RSA, EC, ED)
        said = claims()
        identity = await check_sign_in(web, client(there), signed(said, key, alg), "n", CLOCK)
        assert identity == Identity(
            subject="ada", who="ada@example.test", issued_at=said["iat"], expires_at=said["exp"]
        )
        assert await check_signature(web, client(there), signed(said, key, alg))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": f"{ISSUER}/"}, "another issuer"),
        ({"iss": ...}, "another issuer"),
        ({"iss": [ISSUER]}, "another issuer"),
        ({"aud": "you"}, "another client"),
        ({"aud": ["you", "them"]}, "another client"),
        ({"aud": ...}, "another client"),
        ({"aud": {"me": 1}}, "another client"),
        ({"aud": "me too"}, "another client"),
        ({"aud": ["me", "you"]}, "issued to another client"),
        ({"aud": ["me", "you"], "azp": "you"}, "issued to another client"),
        ({"azp": "you"}, "issued to another client"),
        ({"nonce": "m"}, "nonce"),
        ({"nonce": ...}, "nonce"),
        ({"nonce": ["n"]}, "nonce"),
        ({"sub": ...}, "no subject"),
        ({"sub": ""}, "no subject"),
        ({"sub": 7}, "no subject"),
        ({"exp": Away(-120)}, "expired"),
        ({"exp": ...}, "no exp"),
        ({"exp": "tomorrow"}, "no exp"),
        ({"exp": True}, "no exp"),
        ({"exp": -1}, "no exp"),
        ({"exp": 1e300}, "no exp"),
        ({"iat": Away(300)}, "in the future"),
        ({"iat": ...}, "no iat"),
        ({"iat": "now"}, "no iat"),
    ],
    ids=str,
)
async def test_a_claim_that_is_wrong_ends_the_sign_in_with_its_reason(
    web: Web, changed: dict[str, Any], why: str
) -> None:
    async with shelf() as there:
        publish(there, RSA)
        with pytest.raises(SignInFailed, match=why):
            await check_sign_in(web, client(there), signed(claims(**changed)), "n", CLOCK)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": ["me"]},
        {"aud": ["me", "you"], "azp": "me"},
        {"azp": "me"},
        {"exp": Away(-20)},
        {"iat": Away(20)},
        {"exp": Away(60.5)},
    ],
    ids=str,
)
async def test_what_the_standard_allows_is_allowed(web: Web, changed: dict[str, Any]) -> None:
    async with shelf() as there:
        publish(there, RSA)
        identity = await check_sign_in(web, client(there), signed(claims(**changed)), "n", CLOCK)
        assert identity.subject == "ada"


async def test_a_sign_in_without_a_nonce_of_ours_never_passes(web: Web) -> None:
    async with shelf() as there:
        publish(there, RSA)
        with pytest.raises(SignInFailed, match="nonce"):
            await check_sign_in(web, client(there), signed(claims(nonce="")), "", CLOCK)


def unsigned(alg: str, signature: str = "") -> Secret:
    parts = [{"alg": alg, "kid": "rsa"}, claims()]
    return Secret(".".join([*(b64(json.dumps(part).encode()) for part in parts), signature]))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS256", "RS1", "RSA1_5", "ES256K", "dir"])
async def test_an_algorithm_that_proves_nothing_is_refused_before_any_key_is_asked_for(web: Web, alg: str) -> None:
    async with shelf() as there:
        publish(there, RSA)
        with pytest.raises(SignInFailed, match="does not count"):
            await check_sign_in(web, client(there), unsigned(alg), "n", CLOCK)
        assert there.asked == []


async def test_a_public_key_is_never_taken_for_a_shared_secret(web: Web) -> None:
    """The oldest trick: HS256 with the issuer's published key as the secret."""
    async with shelf() as there:
        publish(there, RSA)
        public = RSA.as_pem(private=False)
        header, payload = b64(b'{"alg":"HS256","kid":"rsa"}'), b64(json.dumps(claims()).encode())
        mac = b64(hmac.new(public, f"{header}.{payload}".encode(), hashlib.sha256).digest())
        forged = Secret(f"{header}.{payload}.{mac}")
        for known in (client(there), client(there, client_secret=Secret(SECRET))):
            with pytest.raises(SignInFailed):
                await check_sign_in(web, known, forged, "n", CLOCK)


async def test_a_symmetric_key_in_the_published_set_counts_for_nothing(web: Web) -> None:
    async with shelf() as there:
        shared = OctKey.import_key(SECRET, {"kid": "rsa"})
        there.put("/jwks", {"keys": [shared.as_dict(private=True)]})
        known = client(there, client_secret=Secret("another secret, at least as long as this"))
        with pytest.raises(SignInFailed, match="not signed by its issuer"):
            await check_sign_in(web, known, signed(claims(), shared, "HS256"), "n", CLOCK)


async def test_the_client_secret_signs_where_there_is_one(web: Web) -> None:
    """OpenID Connect Core §10.1."""
    known = client(client_secret=Secret(SECRET))
    token = signed(claims(), OctKey.import_key(SECRET), "HS256")
    assert (await check_sign_in(web, known, token, "n", CLOCK)).subject == "ada"


@pytest.mark.parametrize("header", [{}, {"kid": None}])
async def test_another_key_of_the_same_name_does_not_pass(web: Web, header: dict[str, Any]) -> None:
    async with shelf() as there:
        publish(there, RSA)
        with pytest.raises(SignInFailed, match="not signed by its issuer"):
            await check_sign_in(web, client(there), signed(claims(), OTHER, **header), "n", CLOCK)
        assert not await check_signature(web, client(there), signed(claims(), OTHER, **header))


async def test_a_token_that_was_touched_does_not_pass(web: Web) -> None:
    async with shelf() as there:
        publish(there, RSA)
        head, _, signature = signed(claims()).reveal().split(".")
        touched = b64(json.dumps(claims(sub="mallory")).encode())
        with pytest.raises(SignInFailed, match="not signed by its issuer"):
            await check_sign_in(web, client(there), Secret(f"{head}.{touched}.{signature}"), "n", CLOCK)


async def test_a_token_without_a_key_name_is_tried_with_every_key_that_fits(web: Web) -> None:
    async with shelf() as there:
        publish(there, EC, OTHER, RSA)
        token = signed(claims(), RSA, kid=None)
        assert (await check_sign_in(web, client(there), token, "n", CLOCK)).subject == "ada"


async def test_a_key_for_encryption_does_not_sign(web: Web) -> None:
    async with shelf() as there:
        there.put("/jwks", {"keys": [RSA.as_dict(private=False) | {"use": "enc"}]})
        with pytest.raises(SignInFailed, match="does not publish"):
            await check_sign_in(web, client(there), signed(claims()), "n", CLOCK)


async def test_a_broken_key_beside_the_right_one_does_no_harm(web: Web) -> None:
    async with shelf() as there:
        broken = [{"kty": "RSA", "kid": "rsa"}, {"kty": "RSA", "kid": "rsa", "n": 7, "e": "x"}, {}, "key", None]
        there.put("/jwks", {"keys": [*broken, RSA.as_dict(private=False)]})
        assert (await check_sign_in(web, client(there), signed(claims()), "n", CLOCK)).subject == "ada"


async def test_an_unknown_key_makes_one_more_look_and_a_new_key_is_found(web: Web) -> None:
    async with shelf() as there:
        publish(there, EC)
        with pytest.raises(SignInFailed, match="does not publish"):
            await check_sign_in(web, client(there), signed(claims()), "n", CLOCK)
        assert there.asked == ["/jwks", "/jwks"]


@pytest.mark.parametrize(("body", "status"), [("", 503), ("<html>", 200), ({"keys": 7}, 200), ([], 200), ({}, 200)])
async def test_keys_that_cannot_be_had_are_not_a_bad_token(web: Web, body: Any, status: int) -> None:
    async with shelf() as there:
        there.put("/jwks", body, status)
        for ask in (
            check_sign_in(web, client(there), signed(claims()), "n", CLOCK),
            check_signature(web, client(there), signed(claims())),
        ):
            with pytest.raises(Unreachable):
                await ask


async def test_a_provider_without_published_keys_is_said(web: Web) -> None:
    with pytest.raises(SignInFailed, match="publishes no keys"):
        await check_sign_in(web, client(), signed(claims()), "n", CLOCK)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b",
        "a.b.c",
        "....",
        "a.b.c.d.e",
        "é.é.é",
        "x" * 70_000,
        f"{'x' * 70_000}.b.c",
        "e30.e30.e30",
        "W10.W10.W10",
    ],
)
async def test_what_is_no_jwt_is_a_sentence(web: Web, text: str) -> None:
    async with shelf() as there:
        publish(there, RSA)
        with pytest.raises(SignInFailed, match="not a signed JWT"):
            await check_sign_in(web, client(there), Secret(text), "n", CLOCK)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: f"{b64(data)}.{b64(data)}.{b64(data)}"))
async def test_whatever_is_given_for_a_token_is_refused_in_words(text: str) -> None:
    web = Web(Network())
    try:
        with pytest.raises(SignInFailed):
            await check_sign_in(web, client(client_secret=Secret(SECRET)), Secret(text), "n", CLOCK)
    finally:
        await web.aclose()


TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
TEMPLATE = "https://login.example/{tenantid}/v2.0"


@pytest.mark.parametrize(
    ("iss", "tid", "good"),
    [
        (f"https://login.example/{TENANT}/v2.0", TENANT, True),
        (f"https://login.example/{TENANT}/v2.0", "00000000-0000-0000-0000-000000000000", False),
        (TEMPLATE, "{tenantid}", False),
        ("https://login.example/common/v2.0", "common", False),
        ("https://login.example//v2.0", "", False),
        (f"https://evil.example/{TENANT}/v2.0", TENANT, False),
    ],
)
async def test_an_issuer_for_any_tenant_is_filled_in_by_the_tokens_own(
    web: Web, iss: str, tid: str, good: bool
) -> None:
    async with shelf() as there:
        publish(there, RSA)
        token = signed(claims(iss=iss, tid=tid))
        if good:
            identity = await check_sign_in(web, client(there, issuer=TEMPLATE), token, "n", CLOCK)
            assert identity.subject == "ada"
        else:
            with pytest.raises(SignInFailed):
                await check_sign_in(web, client(there, issuer=TEMPLATE), token, "n", CLOCK)


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ({"preferred_username": "ada"}, "ada"),
        ({"name": "Ada L."}, "Ada L."),
        ({"email": "a@e", "name": "Ada"}, "a@e"),
        ({"email": 7, "upn": "ada@corp"}, "ada@corp"),
        ({"email": "a\x1b[31m@e\n"}, "a[31m@e"),
        ({}, ""),
    ],
)
async def test_a_person_is_named_by_what_there_is(web: Web, said: dict[str, Any], who: str) -> None:
    async with shelf() as there:
        publish(there, RSA)
        token = signed(claims(email=...) | said)
        assert (await check_sign_in(web, client(there), token, "n", CLOCK)).who == who
