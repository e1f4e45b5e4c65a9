"""The keys an issuer publishes (RFC 7517): which of them may be tried, decided before anything is computed with one."""

import math
import warnings
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from joserfc.jwk import Key

SIGNED_BY_KEY: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""Algorithms a published key can vouch with: never `none`, and never one with a shared secret."""

MOST: Final = 8
"""Keys tried for one token. Where issuers publish more, their tokens say which (`kid`)."""

_KINDS: Final = {"R": "RSA", "P": "RSA", "ES": "EC", "Ed": "OKP"}
_LOOKED_AT: Final = 200
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 §6
_PUBLIC: Final = ("kty", "use", "key_ops", "n", "e", "crv", "x", "y")
_LONGEST: Final = math.ceil(8192 / 6)  # characters of a modulus: 8192 bits in base64url
_SHORTEST: Final = math.ceil(2048 / 6)
_LONGEST_EXPONENT: Final = math.ceil(32 / 6)  # 65537 has four characters; each bit costs a multiplication


def fitting(published: list[object], algorithm: str, kid: str) -> "list[Key]":
    """Those that may have signed with that algorithm (one of SIGNED_BY_KEY). `kid`: as the token names it, or empty.

    The document is a stranger's. From a private key a library would compute what is missing, and a modulus of 64,000
    bits keeps the whole process busy for minutes, thread or not: Python's long numbers let nobody else run.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - heavy: loads when first needed
    from joserfc.errors import JoseError  # noqa: PLC0415 - heavy: loads when first needed
    from joserfc.jwk import import_key  # noqa: PLC0415 - heavy: loads when first needed

    found: list[Key] = []
    for key in published[:_LOOKED_AT]:
        if not isinstance(key, dict) or not _may_sign(key, algorithm, kid) or not _is_harmless(key):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):  # joserfc's, of keys that it takes nevertheless
                found.append(import_key({name: key[name] for name in _PUBLIC if name in key}))
        except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):  # one bad key does not spoil others
            continue
        if len(found) == MOST:
            break
    return found


def _may_sign(key: dict[str, object], algorithm: str, kid: str) -> bool:
    """A symmetric key from a public document never does: it would let anybody sign."""
    kind = _KINDS.get(algorithm[:2]) or _KINDS[algorithm[:1]]
    if key.get("kty") != kind or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    return not kid or key.get("kid") == kid


def _is_harmless(key: dict[str, object]) -> bool:
    """Public, and small enough. Who publishes a private key does not vouch with it for anybody."""
    if _PRIVATE & key.keys():
        return False
    if key.get("kty") == "RSA" and _is_short(key.get("n"), _SHORTEST - 1):  # RFC 7518 §3.3: 2048 bits or more
        return False
    numbers = [key[name] for name in ("n", "x", "y", "crv") if name in key]
    return _is_short(key.get("e", ""), _LONGEST_EXPONENT) and all(_is_short(number, _LONGEST) for number in numbers)


def _is_short(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest
