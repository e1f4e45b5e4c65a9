"""What a hostile issuer may sign and publish: a sign-in ends in words, at once."""

import base64
import json
import random
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.jwk import RSAKey

from aixtiv_protocol.secret import Secret
from aixtivd.clock import SystemClock
from aixtivd.errors import SignInFailed
from aixtivd.oauth.client import Client
from aixtivd.oauth.identity import Identity, ask_userinfo, check_sign_in
from aixtivd.oauth.web import Web
from peers.canned import Shelf, shelf

ISSUER = "https://issuer.example"
KEY = RSAKey.generate_key(2048, auto_kid=False)


def client(there: Shelf) -> Client:
    return Client(
        provider="p",
        client_id="me",
        token_endpoint=f"{there.url}/t",
        userinfo_endpoint=f"{there.url}/user",
        issuer=ISSUER,
        jwks_uri=f"{there.url}/jwks",
    )


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(**more: Any) -> Secret:
    """By hand: JWT libraries refuse to write what a hostile issuer can."""
    now = int(time.time())
    said = {"iss": ISSUER, "sub": "ada", "aud": "me", "nonce": "n", "iat": now, "exp": now + 600} | more
    message = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "RS256"}, said))
    signature = KEY.private_key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr]  # it was generated
    return Secret(f"{message}.{b64(signature)}")


async def sign_in(web: Web, **more: Any) -> Identity:
    async with shelf() as there:
        there.put("/jwks", {"keys": [KEY.as_dict(private=False)]})
        return await check_sign_in(web, client(there), signed(**more), "n", SystemClock())


@pytest.mark.parametrize("subject", ["ada\ud800", "\udfff", "a" * 256])
async def test_a_subject_that_cannot_be_one_ends_the_sign_in_in_words(web: Web, subject: str) -> None:
    with pytest.raises(SignInFailed, match="names no subject"):
        await sign_in(web, sub=subject)


async def test_a_subject_may_have_255_characters(web: Web) -> None:
    assert (await sign_in(web, sub="a" * 255)).subject == "a" * 255


@pytest.mark.parametrize("name", ["iss", "nonce", "aud", "azp", "tid"])
async def test_half_a_surrogate_pair_in_any_claim_raises_nothing_else(web: Web, name: str) -> None:
    try:
        await sign_in(web, **{name: "\ud800"})
    except SignInFailed as failure:
        failure.sentence.encode()


@pytest.mark.parametrize(
    ("said", "who"),
    [({"name": "Ada \ud83d"}, "Ada "), ({"email": "\ud800", "name": "Ada"}, "Ada"), ({"name": "a" * 500}, "a" * 100)],
)
async def test_a_name_that_was_cut_in_the_middle_of_a_letter_is_shown_without_it(
    web: Web, said: dict[str, Any], who: str
) -> None:
    assert (await sign_in(web, **said)).who == who


@pytest.mark.parametrize("subject", ['"\\ud800"', f'"{"a" * 256}"', "9" * 5000, "1e400", "NaN"])
async def test_userinfo_about_a_subject_that_cannot_be_one_says_nothing(web: Web, subject: str) -> None:
    async with shelf() as there:
        there.put("/user", f'{{"sub": {subject}, "name": "Ada"}}')
        assert await ask_userinfo(web, client(there), Secret("at")) is None


async def test_a_hostile_set_of_keys_delays_nobody(web: Web) -> None:
    """Fifty keys that would take a minute, and the loop with it (attack C1)."""
    lucky = random.Random(1)
    modulus, private = (lucky.getrandbits(64_000) | 1 << 63_999 | 1, lucky.getrandbits(63_990) | 1)
    n, d = (b64(value.to_bytes((value.bit_length() + 7) // 8, "big")) for value in (modulus, private))
    async with shelf() as there:
        there.put("/jwks", {"keys": [{"kty": "RSA", "n": n, "e": "AQAB", "d": d}, {"kty": "RSA", "n": n, "e": n}] * 8})
        began = time.monotonic()
        with pytest.raises(SignInFailed, match="does not publish"):
            await check_sign_in(web, client(there), signed(), "n", SystemClock())
        assert time.monotonic() - began < 5
