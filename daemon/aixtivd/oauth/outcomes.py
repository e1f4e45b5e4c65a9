"""What a token endpoint's answer can mean: six outcomes, told apart by type (D7)."""

from msgspec import Struct

from aixtiv_protocol.secret import Secret


class Tokens(Struct, frozen=True, kw_only=True):
    """A successful token response (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3)."""

    access_token: Secret
    token_type: str = "Bearer"
    expires_in: int | None = None  # seconds; None: the answer did not say
    refresh_token: Secret | None = None  # None: keep the one spent
    scopes: tuple[str, ...] | None = None  # None: as asked for
    id_token: Secret | None = None


class Granted(Struct, frozen=True, kw_only=True):
    tokens: Tokens


class Rotated(Struct, frozen=True, kw_only=True):
    """A whole answer brought a new refresh token, and no access token that can be used: that half is kept."""

    refresh_token: Secret
    reason: str  # what was wrong with the rest


class TryAgain(Struct, frozen=True, kw_only=True):
    """Passing trouble: network, 408, 429, 5xx, an answer that is not OAuth's (a captive portal)."""

    reason: str  # a plain sentence
    retry_after: float = 0.0  # seconds, as the server asked; 0: it did not
    maybe_spent: bool = False  # the request was sent and no whole answer came: a rotating server may have rotated
    refresh_token: Secret | None = None  # the one that takes the place of the spent, where that much of an answer came


class NeedsSignIn(Struct, frozen=True, kw_only=True):
    """`invalid_grant` in well-formed OAuth JSON with 400 or 401: the grant is over."""

    reason: str


class Misconfigured(Struct, frozen=True, kw_only=True):
    """`invalid_client`, `unauthorized_client`, `invalid_scope`, `unsupported_grant_type`: ours to mend, grant kept."""

    reason: str


class Refused(Struct, frozen=True, kw_only=True):
    """Any other well-formed OAuth error: grant kept, not tried again by ourselves, shown."""

    reason: str


Outcome = Granted | Rotated | TryAgain | NeedsSignIn | Misconfigured | Refused
