"""Who signed in: the ID token checked in full (OpenID Connect Core §3.1.3.7), and the userinfo answer (§5.3)."""

import re
import warnings
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, SignInFailed, Unreachable
from aixtivd.oauth.client import GUID, TENANT, Client
from aixtivd.oauth.document import as_object
from aixtivd.oauth.keys import SIGNED_BY_KEY, fitting
from aixtivd.oauth.web import Web

if TYPE_CHECKING:
    from joserfc.jwk import Key

_SIGNED_BY_SECRET: Final = frozenset({"HS256", "HS384", "HS512"})
_LEEWAY: Final = 60.0  # seconds that the issuer's clock and ours may differ
_LONGEST: Final = 64 * 1024  # characters of an ID token
_LONGEST_SUBJECT: Final = 255  # characters, as OpenID Connect Core §2 has it


class Identity(Struct, frozen=True, kw_only=True):
    subject: str = ""
    who: str = ""  # how a person would recognise the subject
    issued_at: int = 0  # Unix time
    expires_at: int = 0


class _Bad(Exception):
    """Why an ID token does not count; the text is the end of a sentence."""


class _Header(Struct, frozen=True):
    alg: str
    kid: str = ""


async def check_sign_in(web: Web, client: Client, id_token: Secret, nonce: str | None, clock: Clock) -> Identity:
    """Signature, `iss`, `aud`, `azp`, `nonce`, `exp`, `iat`. Raises SignInFailed, or Unreachable for the keys.

    `nonce`: of the authorization request; None: there was none that it could answer (a device grant, a refresh).
    """
    try:
        claims = await _verified(web, client, id_token)
        _check_claims(claims, client, nonce, clock.wall())
    except _Bad as why:
        raise SignInFailed(f"the ID token of {client.provider} {why}") from None
    return Identity(
        subject=_text(claims, "sub"),
        who=_who(claims, client),
        issued_at=int(_number(claims, "iat")),
        expires_at=int(_number(claims, "exp")),
    )


async def check_signature(web: Web, client: Client, id_token: Secret) -> bool:
    """Whether the issuer's keys of today still vouch for it. Raises Unreachable where they cannot be asked for."""
    try:
        await _verified(web, client, id_token)
    except _Bad:
        return False
    return True


async def ask_userinfo(web: Web, client: Client, access_token: Secret, subject: str = "") -> Identity | None:
    """What the userinfo endpoint says; None where there is none, or it does not say, or speaks of somebody else.

    `subject`: of the ID token; an answer about another one must not be used (§5.3.2). Raises nothing: a sign-in does
    not fail for want of a name to show.
    """
    if not client.userinfo_endpoint:
        return None
    headers = {"authorization": f"Bearer {access_token.reveal()}"}
    try:
        answer = await web.send("GET", client.userinfo_endpoint, headers=headers, timeout=10.0)
    except AixtivError:
        return None
    claims = as_object(answer.body)
    if answer.status != 200 or claims is None:
        return None
    found = _name_or_number(claims, client.quirks.subject_claim)
    if not 0 < len(found) <= _LONGEST_SUBJECT or (subject and found != subject):
        return None
    return Identity(subject=found, who=_who(claims, client))


def _check_claims(claims: dict[str, object], client: Client, nonce: str | None, now: float) -> None:
    if _text(claims, "iss") != _issuer(client, claims):
        raise _Bad("is from another issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client.client_id not in audiences:
        raise _Bad("is meant for another client")
    party = claims.get("azp")
    if (len(audiences) > 1 and party is None) or (party is not None and party != client.client_id):
        raise _Bad("was issued to another client")
    if nonce is not None and (not nonce or claims.get("nonce") != nonce):
        raise _Bad("is not the answer to this sign-in (nonce)")
    if not 0 < len(_text(claims, "sub")) <= _LONGEST_SUBJECT:
        raise _Bad(f"names no subject of up to {_LONGEST_SUBJECT} characters")
    if (ago := now - _number(claims, "exp")) > _LEEWAY:
        raise _Bad(f"expired {ago:.0f} seconds ago: is this machine's clock right?")
    if (ahead := _number(claims, "iat") - now) > _LEEWAY:
        raise _Bad(f"is dated {ahead:.0f} seconds in the future: is this machine's clock right?")


def _issuer(client: Client, claims: dict[str, object]) -> str:
    """Microsoft's issuer for any tenant is a template that the token's own `tid` fills: a GUID and nothing else."""
    if TENANT not in client.issuer:
        if not client.issuer:
            raise _Bad("cannot be checked: no issuer is known")
        return client.issuer
    tenant = _text(claims, "tid")
    if not re.fullmatch(GUID, tenant):
        raise _Bad("names no tenant")
    return client.issuer.replace(TENANT, tenant)


async def _verified(web: Web, client: Client, id_token: Secret) -> dict[str, object]:
    """The claims, once a signature by one of the issuer's own keys is found. Raises _Bad, Unreachable."""
    header = _header(id_token)
    if header.alg in _SIGNED_BY_SECRET and client.client_secret:
        keys = _secret_key(client.client_secret)
    elif header.alg in SIGNED_BY_KEY:
        keys = await _issuer_keys(web, client, header)
    else:
        raise _Bad(f"is signed in a way that does not count ({header.alg[:20]!r})")
    for key in keys:
        if (claims := _claims(id_token, key, header.alg)) is not None:
            return claims
    raise _Bad("is not signed by its issuer")


def _header(id_token: Secret) -> _Header:
    import base64  # noqa: PLC0415 - with joserfc below

    text = id_token.reveal()
    if len(text) > _LONGEST or text.count(".") != 2:
        raise _Bad("is not a signed JWT")
    first = text.partition(".")[0]
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)), type=_Header)
    except (ValueError, RecursionError):  # msgspec's and base64's are ValueErrors
        raise _Bad("is not a signed JWT") from None


async def _issuer_keys(web: Web, client: Client, header: _Header) -> "list[Key]":
    """Those that fit the header. An unknown `kid` makes one more try: keys roll over, and caches lag behind."""
    if not client.jwks_uri:
        raise _Bad("cannot be checked: its issuer publishes no keys")
    for _ in range(2):
        keys = fitting(await _published(web, client), header.alg, header.kid)
        if keys:
            return keys
    raise _Bad("is signed with a key that its issuer does not publish")


async def _published(web: Web, client: Client) -> list[object]:
    answer = await web.send("GET", client.jwks_uri)
    document = as_object(answer.body)
    keys = document.get("keys") if document and answer.status == 200 else None
    if not isinstance(keys, list):
        raise Unreachable(f"the keys of {client.provider} cannot be had: {client.jwks_uri} answered {answer.status}")
    return keys


def _secret_key(secret: Secret) -> "list[Key]":
    """Core §10.1: the UTF-8 octets of the client secret."""
    from joserfc.jwk import OctKey  # noqa: PLC0415 - heavy: loads when first needed

    with warnings.catch_warnings(action="ignore"):  # joserfc warns of short ones; the provider chose it, not we
        return [OctKey.import_key(secret.reveal())]


def _claims(id_token: Secret, key: "Key", algorithm: str) -> dict[str, object] | None:
    from joserfc import jwt  # noqa: PLC0415 - heavy: loads when first needed
    from joserfc.errors import JoseError  # noqa: PLC0415 - heavy: loads when first needed

    try:
        with warnings.catch_warnings(action="ignore"):  # joserfc calls `EdDSA` deprecated: RFC 9864 has a new name
            return jwt.decode(id_token.reveal(), key, algorithms=[algorithm]).claims
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _who(claims: dict[str, object], client: Client) -> str:
    """The provider's words for a person, printable and short: they are shown in a terminal."""
    for name in client.quirks.who_claims:
        value = claims.get(name)
        if isinstance(value, str) and (who := "".join(letter for letter in value if letter.isprintable())[:100]):
            return who
    return ""


def _name_or_number(claims: dict[str, object], name: str) -> str:
    """GitHub's people are numbers."""
    value = claims.get(name)
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64
    return str(value) if is_number else _text(claims, name)


def _text(claims: dict[str, object], name: str) -> str:
    """Empty also for what is no text: half a surrogate pair (JSON can name one) could be neither sealed nor sent.

    U+FFFD stands where an answer could not be read: two people must not become one by it.
    """
    value = claims.get(name)
    if not isinstance(value, str) or "\ufffd" in value:
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ""
    return value


def _number(claims: dict[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise _Bad(f"has no {name} that is a time")
    return float(value)
