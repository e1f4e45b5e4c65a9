"""The published keys: which are tried, and that a hostile document costs next to nothing."""

import base64
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from aixtivd.oauth import keys
from aixtivd.oauth.keys import SIGNED_BY_KEY, fitting

RSA = RSAKey.generate_key(2048, auto_kid=False)
EC = ECKey.generate_key("P-256", auto_kid=False)
ED = OKPKey.generate_key("Ed25519", auto_kid=False)
PUBLIC: list[tuple[Key, str]] = [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")]


def number(bits: int) -> str:
    """An odd number of exactly so many bits, as a JWK writes it."""
    made = random.Random(bits).getrandbits(bits) | 1 | 1 << (bits - 1)
    return base64.urlsafe_b64encode(made.to_bytes((bits + 7) // 8, "big")).rstrip(b"=").decode()


@pytest.mark.parametrize(("key", "algorithm"), PUBLIC)
def test_a_public_key_fits_and_the_private_one_beside_it_does_not(key: Key, algorithm: str) -> None:
    """From `d` alone a library would compute the primes, on our time (attack C1)."""
    assert len(fitting([key.as_dict(private=False)], algorithm, "")) == 1
    assert fitting([key.as_dict(private=True)], algorithm, "") == []


@pytest.mark.parametrize("part", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_any_private_part_takes_a_key_out(part: str) -> None:
    assert fitting([RSA.as_dict(private=False) | {part: None}], "RS256", "") == []


@pytest.mark.parametrize(
    ("modulus", "exponent", "fits"),
    [
        (2048, 17, True),
        (8192, 32, True),
        (8200, 17, False),
        (16384, 17, False),
        (120_000, 17, False),
        (4096, 41, False),
        (4096, 4095, False),
    ],
)
def test_a_key_whose_numbers_are_too_long_is_not_computed_with(modulus: int, exponent: int, fits: bool) -> None:
    key = {"kty": "RSA", "n": number(modulus), "e": number(exponent)}
    assert len(fitting([key], "RS256", "")) == fits


@pytest.mark.parametrize("name", ["x", "y", "crv"])
def test_the_coordinates_of_a_curve_are_short_too(name: str) -> None:
    assert fitting([EC.as_dict(private=False) | {name: "A" * 100_000}], "ES256", "") == []


def test_only_so_many_keys_are_tried_for_one_token() -> None:
    assert len(fitting([RSA.as_dict(private=False)] * 500, "RS256", "")) == keys.MOST


def test_the_name_of_a_key_finds_it_among_many() -> None:
    published: list[object] = [RSA.as_dict(private=False) | {"kid": f"k{n}"} for n in range(20)]
    assert len(fitting(published, "RS256", "k19")) == 1


odd = st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=8) | st.lists(st.text(max_size=3))
parts = st.dictionaries(
    st.sampled_from(["kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y", "d", "x5c"]),
    odd | st.sampled_from(["RSA", "EC", "OKP", "sig", "verify", "AQAB", "P-256", "Ed25519", "X25519", "AA", "AQ"]),
)


@given(
    st.lists(odd | parts | st.tuples(st.sampled_from([RSA, EC, ED]), parts), max_size=4),
    st.sampled_from(sorted(SIGNED_BY_KEY)),
    st.text(max_size=2),
)
def test_whatever_is_published_nothing_is_raised(published: list[Any], algorithm: str, kid: str) -> None:
    made = [each[0].as_dict(private=False) | each[1] if isinstance(each, tuple) else each for each in published]
    assert len(fitting(made, algorithm, kid)) <= len(made)
