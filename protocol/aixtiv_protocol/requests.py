"""What a caller can ask. Each request is a frozen Struct; `op` names it on the wire.

To add one: the Struct here and its line in `Request`, a `case` in the daemon's `dispatch.py`, a service method, a
client method. The type checker names what was forgotten.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from aixtiv_protocol.secret import Secret

# What no caller can mean otherwise: a bound here is a sentence to the caller instead of arithmetic on NaN further in.
Wait = Annotated[float, Meta(ge=0, le=3600)]  # seconds; a longer wait asks again
Life = Annotated[int, Meta(ge=0, le=1_000_000_000)]  # seconds; thirty years
Port = Annotated[int, Meta(ge=0, le=65_535)]


class Asked(Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True, omit_defaults=True):
    """The wire rules of every request, said once: an unknown field is refused, for it may be a restriction."""

    agent: str = ""  # the calling agent's id, for the audit log


class Hello(Asked, frozen=True, tag="hello"):
    """First word of a polite caller. Answer: Welcome."""

    client: str = ""  # the caller's version of aixtiv, empty for other tools


class Token(Asked, frozen=True, tag="token"):
    """An access token. Answer: AccessToken, or with `form="bare"` the lone token string."""

    account: str = ""  # empty: the default account
    min_ttl: Life = 0  # seconds of life the token must still have
    wait: Wait = 30.0  # seconds this caller will wait for a refresh
    scopes: tuple[str, ...] = ()  # must all have been granted
    form: Literal["full", "bare"] = "full"


class Accounts(Asked, frozen=True, tag="accounts"):
    """All accounts and their states. Answer: AccountList."""


class Status(Asked, frozen=True, tag="status"):
    """The daemon, its store and its accounts. Answer: DaemonStatus. Answered while locked, too."""


class ClientSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to be a client of an authorization server, as the caller's command line or environment says it.

    Every empty field means: as the provider's data, the config or discovery say.
    """

    issuer: str = ""  # discovery starts here (RFC 8414, OpenID Connect Discovery)
    client_id: str = ""
    client_secret: Secret | None = None
    client_auth: Literal["", "none", "basic", "post"] = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    redirect_uri: str = ""  # exact, RFC 8252 otherwise; one that is not loopback means: paste only


class Login(Asked, frozen=True, tag="login"):
    """Starts or joins a sign-in. Answer: a stream of SignInStarted and then SignedIn.

    A caller that hangs up leaves the sign-in open (it lives ten minutes), so that `Callback` can finish it.
    """

    account: str = ""  # empty: the default account
    provider: str = ""  # empty: the part of the account's name before "/"
    settings: ClientSettings = ClientSettings()
    scopes: tuple[str, ...] = ()  # empty: the provider's own default
    port: Port = 0  # of the loopback listener; 0: any
    replace: bool = False  # allow another subject than the one signed in before


class Callback(Asked, frozen=True, tag="callback"):
    """Finishes a sign-in with the pasted redirect URL, `code#state`, or the lone code. Answer: SignedIn."""

    pasted: Secret
    account: str = ""  # needed only for a lone code while several sign-ins are open


class Refresh(Asked, frozen=True, tag="refresh"):
    """Refreshes now, whatever the token's age; also how a person retries a quarantined grant. Answer: Account."""

    account: str = ""
    wait: Wait = 30.0


class Logout(Asked, frozen=True, tag="logout"):
    """Revokes at the provider where it can be revoked, then forgets. Answer: LoggedOut."""

    account: str = ""


class Verify(Asked, frozen=True, tag="verify"):
    """Asks the issuer: introspection, the ID token's signature and age. Answer: Verified."""

    account: str = ""
    wait: Wait = 30.0


class ApiKey(Asked, frozen=True, tag="api-key"):
    """Stores (or with `key` absent removes) the static secret of an account. Answer: Account, or LoggedOut."""

    account: str = ""
    key: Secret | None = None


class Watch(Asked, frozen=True, tag="watch"):
    """A stream of Event that ends only with the conversation."""


class Lock(Asked, frozen=True, tag="lock"):
    """Lets open refreshes finish, then forgets every key and token held in memory. Answer: Done."""


class Unlock(Asked, frozen=True, tag="unlock"):
    """Opens a locked vault. The passphrase is absent where another key source is to be tried again. Answer: Done."""

    passphrase: Secret | None = None


class Reload(Asked, frozen=True, tag="reload"):
    """Reads the config again, all of it or nothing. Answer: Done."""


class Stop(Asked, frozen=True, tag="stop"):
    """Lets open refreshes finish, then ends the daemon. Answer: Done."""


Request = (
    Hello
    | Token
    | Accounts
    | Status
    | Login
    | Callback
    | Refresh
    | Logout
    | Verify
    | ApiKey
    | Watch
    | Lock
    | Unlock
    | Reload
    | Stop
)
