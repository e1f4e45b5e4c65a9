"""What a caller can ask. Each request is a frozen Struct; `op` names it on the wire.

To add one: the Struct here and its line in `Request`, a `case` in the daemon's `dispatch.py`, a service method, a
client method. The type checker names what was forgotten.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from aixtiv_protocol import sources
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

ClientSettings = sources.ClientSettings
Federation = sources.Federation
ClientCredentials = sources.ClientCredentials
Command = sources.Command
Source = sources.Source

Device = Literal["", "offered", "wanted"]
"""The device grant (RFC 8628) beside a sign-in's other ways: not; where the server has it; or refused where not."""

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


class HostToken(Asked, frozen=True, tag="host-token"):
    """A token for a tool that goes to a host, from the account whose `hosts` name it. Answer: AccessToken."""

    url: str = ""  # where the tool goes: https, or http on this machine; empty: not known, and `account` is named
    account: str = ""  # must be for that host; empty: whichever is
    username: str = ""  # that the tool wants, where several accounts are for one host
    kind: Literal["access", "id"] = "access"  # id: the ID token of who signed in
    min_ttl: Life = 0  # seconds of life; of a token that lives less than twice as long, half its life
    wait: Wait = 30.0  # as in Token
    rejected: Secret | None = None  # that the host did not take: if it is still the current one, it is refreshed first


class Accounts(Asked, frozen=True, tag="accounts"):
    """The accounts and their states, by name, as many as fit into one answer. Answer: AccountList."""

    after: str = ""  # the name behind which the list goes on; empty: from the beginning


class Status(Asked, frozen=True, tag="status"):
    """The daemon, its store and its accounts. Answer: DaemonStatus. Answered while locked, too."""


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
    device: Device = ""


class Adopt(Asked, frozen=True, tag="adopt"):
    """A refresh token from elsewhere becomes an account's. Answer: SignedIn.

    It is refreshed at once: that proves it, and where tokens rotate, whoever had it before has it no more.
    """

    refresh_token: Secret
    account: str = ""  # empty: the default account
    provider: str = ""  # as in Login
    settings: ClientSettings = ClientSettings()
    scopes: tuple[str, ...] = ()  # that were granted; empty: not known
    replace: bool = False  # as in Login


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


class Rename(Asked, frozen=True, tag="rename"):
    """Another name for an account; its sign-in, key and tickets stay. Answer: AccountChanged."""

    account: str
    to: str


class Generations(Asked, frozen=True, tag="generations"):
    """What is kept of an account's earlier generations. Answer: GenerationList."""

    account: str = ""


class Reinstate(Asked, frozen=True, tag="reinstate"):
    """An earlier generation becomes the account's newest, and is tried at once. Answer: AccountChanged."""

    account: str = ""
    generation: Count = 0  # 0: the newest that is not spent, else the newest that is kept
    anyway: bool = False  # also one that is spent, though a provider may end the whole sign-in for a second use


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
    """Those there are, as many as fit into one answer. Answer: TicketList."""

    after: str = ""  # the id behind which the list goes on; empty: from the beginning


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


class Metrics(Asked, frozen=True, tag="metrics"):
    """Counters and gauges for Prometheus. Answer: Exposition."""

    accounts: bool = False  # with a label that names each account; without: only how many


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


class Restart(Asked, frozen=True, tag="restart"):
    """Lets open refreshes finish, then the daemon becomes the `aixtivd` that is installed now. Answer: Done.

    Its listening sockets stay open all the while, so that no caller is refused.
    """


class Stop(Asked, frozen=True, tag="stop"):
    """Lets open refreshes finish, then ends the daemon. Answer: Done."""


Request = (
    Hello
    | Token
    | HostToken
    | Accounts
    | Status
    | Login
    | Adopt
    | Callback
    | Refresh
    | Logout
    | Verify
    | Rename
    | Generations
    | Reinstate
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
    | Metrics
    | Explain
    | KeyCheck
    | KeyRotate
    | KeyMove
    | Export
    | Restore
    | Lock
    | Unlock
    | Reload
    | Restart
    | Stop
)
