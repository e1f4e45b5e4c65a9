"""The sealed record behind an account, and the pure steps from one generation to the next."""

import time
from typing import Final

import msgspec
from msgspec import Struct

from aixtiv_protocol.replies import Kind
from aixtiv_protocol.requests import ClientCredentials, Command, Federation, Source
from aixtiv_protocol.secret import Secret, decode_hook, encode_hook
from aixtivd.oauth.client import Client
from aixtivd.oauth.outcomes import Tokens
from aixtivd.vault.rows import Row

LAST: Final = 2.0**53
"""Unix time of what lies farthest ahead: up to it every second is a number that JSON can hold."""


class Grant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One account. Times are Unix seconds; 0 means never, or not known."""

    id: bytes
    name: str
    provider: str
    generation: int = 1
    client: Client | None = None  # None: there is only an API key, or a command
    source: Source | None = None  # asked for tokens, where nobody signs in; None: a refresh token is spent for them
    identity: tuple[str, str] = ("", "")  # whose identity that other account is to give: issuer and subject; empty: any
    endpoint: str = ""  # origin of the API that this account is relayed to; empty: the API's own
    subject: str = ""  # `sub` of the ID token
    who: str = ""  # how a person would recognise the subject
    scopes: tuple[str, ...] = ()
    refresh_token: Secret | None = None
    access_token: Secret | None = None
    token_type: str = "Bearer"
    id_token: Secret | None = None
    id_token_at: float = 0.0
    api_key: Secret | None = None
    signed_in_at: float = 0.0
    refreshed_at: float = 0.0
    expires_at: float = 0.0  # of the access token
    lifetime: float = 0.0  # seconds, of the access token; 0: it does not expire
    rotates: bool | None = None  # whether the last refresh brought another refresh token; None: not seen yet
    quarantined: str = ""  # why the refresh token is kept but no longer tried; a sentence

    @property
    def kind(self) -> Kind:
        return kind_of(self.source, signed_in=self.client is not None)

    @property
    def renewable(self) -> bool:
        """Whether a new access token can be had without a person."""
        return self.source is not None or self.refresh_token is not None

    @property
    def empty(self) -> bool:
        """Whether nothing is left of it: it was nothing but a key."""
        return self.kind == "api-key" and self.api_key is None

    @property
    def timely(self) -> bool:
        """Whether its times are times: neither infinite nor absurd."""
        times = (self.signed_in_at, self.refreshed_at, self.expires_at, self.lifetime, self.id_token_at)
        return all(0 <= at <= LAST for at in times)

    @property
    def issuer(self) -> str:
        return self.client.issuer if self.client else ""


_pack = msgspec.msgpack.Encoder(enc_hook=encode_hook)
_unpack: msgspec.msgpack.Decoder[Grant] = msgspec.msgpack.Decoder(Grant, dec_hook=decode_hook)


def to_row(grant: Grant) -> Row:
    return Row(grant.id, grant.generation, _pack.encode(grant))


def from_row(row: Row) -> Grant:
    """Raises msgspec.DecodeError for a payload that is no grant (a defect: the seal has already vouched for it)."""
    try:
        return _unpack.decode(row.payload)
    except (UnicodeDecodeError, RecursionError):  # msgspec lets these through beside its own
        raise msgspec.DecodeError from None


def kind_of(source: Source | None, *, signed_in: bool) -> Kind:
    match source:
        case Federation():
            return "federation"
        case ClientCredentials():
            return "client-credentials"
        case Command():
            return "command"
        case None:
            return "oauth" if signed_in else "api-key"


class Bound(Struct, frozen=True, kw_only=True):
    """What a sign-in binds into the grant, so that later nothing of it needs to be said again (D10)."""

    usual: str = ""  # origin of the API where no endpoint is bound; not bound itself: the config may say another
    provider: str
    client: Client | None = None
    source: Source | None = None
    identity: tuple[str, str] = ("", "")
    endpoint: str = ""
    scopes: tuple[str, ...] = ()
    subject: str = ""
    who: str = ""


def endpoint_for(old: Grant | None, provider: str, said: str) -> str:
    """Where an account's API is: as said, else where it has been, as long as the account is of the same provider."""
    return said or (old.endpoint if old and old.provider == provider else "")


def moved(old: Grant, provider: str, endpoint: str, usual: str) -> tuple[str, str] | None:
    """From where to where a sign-in, or a key, would take the account's credentials; None: they stay.

    One that is relayed nowhere yet does not move. `usual`: the origin where no endpoint is bound.
    """
    if old.api_key is not None and old.provider != provider:
        return old.provider, provider
    here, there = old.endpoint or usual, endpoint or usual
    return (here, there or "its API's own place") if here and here != there else None


def bound(old: Grant, terms: Bound, now: float) -> Grant:
    """An account before its first token. An API key it had stays, unless the API is now elsewhere."""
    away = moved(old, terms.provider, terms.endpoint, terms.usual)
    return Grant(
        id=old.id,
        name=old.name,
        provider=terms.provider,
        generation=old.generation,
        api_key=None if away else old.api_key,
        client=terms.client,
        source=terms.source,
        identity=terms.identity,
        endpoint=terms.endpoint,
        subject=terms.subject,
        who=terms.who,
        scopes=terms.scopes,
        signed_in_at=now,
    )


def signed_in(old: Grant, terms: Bound, tokens: Tokens, now: float) -> Grant:
    """The generation that a sign-in begins."""
    return renewed(bound(old, terms, now), tokens, now)


def renewed(grant: Grant, tokens: Tokens, now: float) -> Grant:
    """The next generation after a token response. What the answer leaves out stays as it was (RFC 6749 §6)."""
    lifetime = float(tokens.expires_in if tokens.expires_in is not None else _default_lifetime(grant, tokens))
    rotated = grant.rotates
    if grant.refresh_token is not None:
        rotated = tokens.refresh_token is not None and tokens.refresh_token != grant.refresh_token
    return msgspec.structs.replace(
        grant,
        generation=grant.generation + 1,
        access_token=tokens.access_token,
        token_type=tokens.token_type,
        refresh_token=tokens.refresh_token or grant.refresh_token,
        scopes=grant.scopes if tokens.scopes is None else tokens.scopes,
        id_token=tokens.id_token or grant.id_token,
        id_token_at=now if tokens.id_token else grant.id_token_at,
        refreshed_at=now,
        lifetime=lifetime,
        expires_at=now + lifetime if lifetime else 0.0,
        rotates=rotated,
        quarantined="",
    )


def rotated(grant: Grant, refresh_token: Secret) -> Grant:
    """The next generation where only the refresh token is another; the access token stays as long as it is good."""
    return msgspec.structs.replace(
        grant, generation=grant.generation + 1, refresh_token=refresh_token, rotates=True, quarantined=""
    )


def _default_lifetime(grant: Grant, tokens: Tokens) -> int:
    """No `expires_in`: where nothing can be done at any expiry, none is made up."""
    renewable = grant.renewable or tokens.refresh_token is not None
    return grant.client.quirks.default_lifetime if grant.client and renewable else 0


def put_aside(grant: Grant, reason: str) -> Grant:
    """Quarantine: nothing is erased, but the refresh token is not tried again until a person acts."""
    return msgspec.structs.replace(grant, generation=grant.generation + 1, quarantined=reason)


def with_key(grant: Grant, key: Secret | None, endpoint: str = "") -> Grant:
    return msgspec.structs.replace(
        grant, generation=grant.generation + 1, api_key=key, endpoint=endpoint or grant.endpoint
    )


def another(grant: Grant) -> Grant:
    """The next generation, which says the same."""
    return msgspec.structs.replace(grant, generation=grant.generation + 1)


def moment(unix: float) -> str:
    """A time as sentences show it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix))
