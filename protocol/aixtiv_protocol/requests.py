"""What a caller can ask. Each request is a frozen Struct; `op` names it on the wire.

To add one: the Struct here and its line in `Request`, a `case` in the daemon's `dispatch.py`, a service method, a
client method. The type checker names what was forgotten.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from aixtiv_protocol.secret import Secret

# What no caller can mean otherwise: a bound here is a sentence to the caller instead of arithmetic on NaN further in.
Wait = Annotated[float, Meta(ge=0, le=3600)]  # seconds; a longer wait asks again
Life = Annotated[int, Meta(ge=0, le=1_000_000_000)]  # seconds; thirty years
Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Moment = Annotated[int, Meta(ge=0, le=100_000_000_000)]  # seconds of Unix time

PIECE: Final = 64 * 1024
"""Bytes of a body in one message at most (wire.md); a larger body travels in several."""

Bytes = Annotated[bytes, Meta(max_length=PIECE)]  # in JSON: base64

Headers = tuple[tuple[str, str], ...]
"""Names as they were written, in their order; a name may come twice."""

Pid = Annotated[int, Meta(ge=0, le=2**31 - 1)]

Right = Literal["list", "token", "relay", "manage"]
"""What a rule of the config allows: that accounts are told of; the token itself; calls with it; everything else."""

KeySource = Literal["keyring", "passphrase", "systemd", "file"]

Verb = Literal["relay", "token"]
"""What a ticket is good for: calls through the relay and the gateway, or the token itself on the socket."""


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
    ticket: Secret | None = None  # then its account and its rights count


class Accounts(Asked, frozen=True, tag="accounts"):
    """The accounts and their states, by name, as many as fit into one answer. Answer: AccountList."""

    after: str = ""  # the name behind which the list goes on; empty: from the beginning


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


class Sourced(Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True):
    """Where the tokens of an account come from that nobody signs in to: it is asked again instead of refreshed."""


class Federation(Sourced, frozen=True, tag="federation"):
    """An identity token is exchanged for an access token (RFC 7523 §2.1, Claude's workload identity federation).

    The identity token comes from exactly one of the last three: a file, a command's stdout, or the ID token of another
    account here.
    """

    rule: str = ""  # federation_rule_id
    organization: str = ""  # organization_id
    service_account: str = ""
    workspace: str = ""
    identity_file: str = ""  # absolute path, read anew each time
    identity_command: tuple[str, ...] = ()  # its first word is an absolute path
    identity_account: str = ""


class ClientCredentials(Sourced, frozen=True, tag="client-credentials"):
    """The client's own token (RFC 6749 §4.4)."""


class Command(Sourced, frozen=True, tag="command"):
    """The token is what a command prints, which stays the only one that refreshes it: Anthropic's `ant`."""

    command: tuple[str, ...]  # its first word is an absolute path
    timeout: Annotated[float, Meta(ge=0, le=300)] = 10.0  # seconds


Source = Federation | ClientCredentials | Command


class Login(Asked, frozen=True, tag="login"):
    """Starts or joins a sign-in. Answer: a stream of SignInStarted and then SignedIn; with a `source` only SignedIn.

    A caller that hangs up leaves the sign-in open (it lives ten minutes), so that `Callback` can finish it.
    """

    account: str = ""  # empty: the default account
    provider: str = ""  # empty: the part of the account's name before "/"
    settings: ClientSettings = ClientSettings()
    scopes: tuple[str, ...] = ()  # empty: the provider's own default
    port: Port = 0  # of the loopback listener; 0: any
    replace: bool = False  # allow another subject, server, kind or API than the one signed in before
    source: Source | None = None  # nobody is sent to a browser: tokens are asked for there
    endpoint: str = ""  # origin of its API; empty: as it was, for a new account the API's own; another wants `replace`


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
    endpoint: str = ""  # as in Login


class Relay(Asked, frozen=True, tag="relay"):
    """One API call with a credential attached. Answer: a stream of Head, any number of Piece, and End.

    With `more`, the body goes on in `Piece` requests, the next of this conversation. A caller that hangs up cancels the
    call. Nothing of the caller's own credentials in `headers` is sent on.
    """

    path: str  # with its query, as it stands in a request line: /v1/messages?beta=true
    method: str = "GET"
    account: str = ""  # empty: the one of the config's [claude]
    headers: Headers = ()
    body: Bytes = b""
    more: bool = False
    api_key: Secret | None = None  # of the caller's own, for this call only, where there is no token
    endpoint: str = ""  # where the caller expects the API: refused if the account's is elsewhere
    fallback: Literal["", "api-key", "none"] = ""  # whether an API key may stand in; empty: as the config says
    wait: Wait = 30.0  # seconds this caller will wait for a credential
    ticket: Secret | None = None  # then its account and its rights count

    def __repr__(self) -> str:
        return f"Relay({self.method}, {len(self.headers)} headers, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("method", self.method), ("headers", len(self.headers)), ("bytes", len(self.body))]


class Piece(Asked, frozen=True, tag="piece"):
    """More of the body of the `relay` before it. No answer of its own."""

    data: Bytes = b""
    more: bool = True  # False: this was the last

    def __repr__(self) -> str:
        return f"Piece({len(self.data)} bytes, more={self.more})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("bytes", len(self.data)), ("more", self.more)]


class Ticket(Asked, frozen=True, tag="ticket"):
    """Makes a local capability: one account, some verbs, a time limit. Answer: TicketMade.

    `holder`: the process with which it dies: who asks, its parent (who typed the command), or nobody. What has no
    holder outlives the daemon, too.
    """

    account: str = ""  # empty: as for a relay
    verbs: tuple[Verb, ...] = ("relay",)
    ttl: Life = 0  # seconds; 0: no limit but its holder's life
    holder: Literal["caller", "parent", "none"] = "caller"
    name: str = ""  # what a person calls it, in `aixtiv ticket list`
    port: bool = False  # a loopback port of its own, which is closed with it


class Tickets(Asked, frozen=True, tag="tickets"):
    """Those there are. Answer: TicketList."""


class RevokeTicket(Asked, frozen=True, tag="ticket-revoke"):
    """Ends tickets: the one with this id or, failing that, those with this name. Answer: Done."""

    ticket: str


class Audit(Asked, frozen=True, tag="audit"):
    """The newest records, oldest first. Answer: AuditRecords; with `verify` AuditVerdict, with `new` Done.

    With `follow` the stream goes on with whatever happens, until the conversation ends.
    """

    limit: Count = 100  # 0: all
    account: str = ""  # empty: all
    verify: bool = False
    new: bool = False  # put the log aside, and begin another
    follow: bool = False


class Usage(Asked, frozen=True, tag="usage"):
    """What was relayed, by account and caller. Answer: UsageReport."""

    since: Moment = 0  # 0: since the audit log begins


class Examine(Asked, frozen=True, tag="examine"):
    """What the daemon can find out about itself and an account, for `aixtiv doctor`. Answer: Examined."""

    account: str = ""  # empty: every account


class Watch(Asked, frozen=True, tag="watch"):
    """A stream of Event that ends only with the conversation."""


class Explain(Asked, frozen=True, tag="explain"):
    """What a process may do, by which rule, and why. Answer: Explained."""

    pid: Pid = 0  # 0: who asks
    account: str = ""  # empty: every account
    path: str = ""  # of a relayed call; empty: any that is allowed


class KeyCheck(Asked, frozen=True, tag="key-check"):
    """Asks the key source for the key once more, and looks at every seal. Answer: KeyChecked."""

    passphrase: Secret | None = None  # to be tried, where the source is a passphrase


class KeyRotate(Asked, frozen=True, tag="key-rotate"):
    """A new data key, and every row sealed anew. Answer: Done."""

    passphrase: Secret | None = None  # the vault's, where its key source is one


class KeyMove(Asked, frozen=True, tag="key-move"):
    """Another key source from now on. Answer: Done."""

    to: KeySource
    passphrase: Secret | None = None  # the vault's, where its key source is one
    new_passphrase: Secret | None = None  # where the new one is


class Export(Asked, frozen=True, tag="export"):
    """Every account, sealed to a passphrase, as a backup. Answer: a stream of Piece."""

    new_passphrase: Secret  # that opens the backup
    passphrase: Secret | None = None  # the vault's, where its key source is one


class Restore(Asked, frozen=True, tag="restore"):
    """Accounts from a backup. Answer: Restored. With `more` the backup goes on in Piece requests."""

    passphrase: Secret  # the backup's
    body: Bytes = b""
    more: bool = False
    replace: bool = False  # also where there is an account of that name

    def __repr__(self) -> str:
        return f"Restore({len(self.body)} bytes, more={self.more})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("bytes", len(self.body)), ("more", self.more)]


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
    | Relay
    | Piece
    | Ticket
    | Tickets
    | RevokeTicket
    | Audit
    | Usage
    | Examine
    | Watch
    | Explain
    | KeyCheck
    | KeyRotate
    | KeyMove
    | Export
    | Restore
    | Lock
    | Unlock
    | Reload
    | Stop
)
