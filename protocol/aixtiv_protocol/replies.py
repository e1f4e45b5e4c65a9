"""What the daemon answers. Each reply is a frozen Struct; `re` names it on the wire. Unknown fields are ignored.

Times are whole seconds of Unix time; 0 means "not known" or "never", as the field's comment says.
"""

from msgspec import Struct

from aixtiv_protocol import words
from aixtiv_protocol.open_words import (
    OpenCode,
    OpenHappening,
    OpenKind,
    OpenRight,
    OpenState,
    OpenVerb,
    OpenVerdict,
    OpenWhat,
)
from aixtiv_protocol.requests import Bytes, Headers
from aixtiv_protocol.secret import Secret

Code = words.Code
Happening = words.Happening
Kind = words.Kind
State = words.State
Verdict = words.Verdict
What = words.What


class Told(Struct, frozen=True, kw_only=True, tag_field="re", omit_defaults=True):
    """The wire rules of every reply, said once."""


class Welcome(Told, frozen=True, tag="welcome"):
    version: str
    protocol: int
    ops: tuple[str, ...]  # what this daemon understands
    locked: bool = False


class AccessToken(Told, frozen=True, tag="token"):
    account: str
    access_token: Secret
    token_type: str = "Bearer"
    expires_at: int = 0  # 0: does not expire
    scopes: tuple[str, ...] = ()
    generation: int = 0


class HostToken(Told, frozen=True, tag="host-token"):
    """A token for a tool that goes to a host."""

    account: str
    access_token: Secret
    token_type: str = "Bearer"
    expires_at: int = 0  # 0: does not expire
    username: str = ""  # shown beside it; empty: as the tool's protocol has it


class Account(Told, frozen=True, tag="account"):
    name: str
    provider: str
    kind: OpenKind
    state: OpenState
    subject: str = ""  # `sub` of the ID token
    who: str = ""  # how a person would recognise the subject: e-mail or user name
    issuer: str = ""
    scopes: tuple[str, ...] = ()
    generation: int = 0
    expires_at: int = 0  # of the access token; 0: does not expire
    next_refresh: int = 0  # 0: none planned
    refreshed_at: int = 0
    signed_in_at: int = 0
    problem: str = ""  # the last failure, a sentence
    hint: str = ""  # the command that mends it
    default: bool = False
    key: bool = False  # an API key is sealed here: all there is, or beside the sign-in
    endpoint: str = ""  # origin of the API that it is bound to; empty: the API's own place


class AccountList(Told, frozen=True, tag="accounts"):
    accounts: tuple[Account, ...]
    more: bool = False  # there are others, behind the last of these


class DaemonStatus(Told, frozen=True, tag="status"):
    version: str
    pid: int
    started_at: int
    locked: bool
    lock_reason: str = ""  # why it is locked, a sentence
    new_store: bool = False  # locked because the passphrase has not been chosen yet
    key_source: str = ""  # file, systemd, keyring, passphrase
    key_reason: str = ""  # why that one, a sentence
    store: str = ""  # path
    config: str = ""  # path
    socket: str = ""  # path
    gateway: str = ""  # path of the gateway's Unix socket
    gateway_port: int = 0  # fixed, on 127.0.0.1; 0: none
    gateway_problem: str = ""  # why not all of the gateway is open, a sentence
    damaged: int = 0  # sealed rows that fail their seal
    spilled: int = 0  # grants that wait in the spill slot for room on the disk
    audit_problem: str = ""  # why records of the audit log wait to be written or sealed, a sentence
    skews: dict[str, float] = {}  # issuer host -> seconds its clock is ahead of ours
    manager: str = ""  # that started it and would again: systemd, launchd; empty: none
    notice_problem: str = ""  # why the last notice or hook came to nothing, a sentence
    publish_problem: str = ""  # why a file that is published is not as it should be, a sentence
    accounts: tuple[Account, ...] = ()  # as many as fit
    more: bool = False  # there are others: `accounts` has them all


class SignInStarted(Told, frozen=True, tag="sign-in-started"):
    account: str
    url: str  # where the browser goes
    redirect_uri: str
    port: int = 0  # of the loopback listener; 0: none, paste only
    expires_in: int = 600  # seconds this sign-in stays open
    joined: bool = False  # another caller had started it
    verification_uri: str = ""  # of the device grant; empty: it is not open
    verification_uri_complete: str = ""  # with the code in it, for a QR code; empty: the server gave none
    user_code: str = ""  # to be typed there
    device_problem: str = ""  # why there is no code though the server has the device grant, a sentence


class Generation(Told, frozen=True, tag="generation"):
    """One state in which an account was."""

    number: int
    current: bool = False
    made_at: int = 0  # when its tokens were issued
    kept_until: int = 0  # 0: it is current
    expires_at: int = 0  # of its access token
    renewable: bool = False  # it has a refresh token
    spent: bool = False  # that was exchanged for another: a provider may take it no more
    who: str = ""
    scopes: tuple[str, ...] = ()


class GenerationList(Told, frozen=True, tag="generations"):
    """Newest first."""

    account: str
    generations: tuple[Generation, ...]


class AccountChanged(Told, frozen=True, tag="account-changed"):
    """An account has another name, or is as it was before."""

    account: Account
    note: str = ""  # what else there is to know, a sentence


class SignedIn(Told, frozen=True, tag="signed-in"):
    account: Account
    note: str = ""  # what else that changed, a sentence


class LoggedOut(Told, frozen=True, tag="logged-out"):
    account: str
    revoked: bool = False  # the provider confirmed
    note: str = ""  # why it was not revoked, and what else is gone or stays; a sentence
    remains: bool = False  # only an open sign-in was ended: the account is as it was


class Verified(Told, frozen=True, tag="verified"):
    account: Account
    active: bool | None = None  # introspection's answer; None: the provider has no introspection
    id_token: OpenVerdict = ""
    id_token_age: int = 0  # seconds
    note: str = ""  # what could not be asked and why


class Event(Told, frozen=True, tag="event"):
    event: OpenHappening
    at: float  # Unix time
    account: str = ""
    detail: str = ""  # a sentence
    expires_at: int = 0


class Head(Told, frozen=True, tag="head"):
    """The upstream answer's beginning."""

    status: int
    headers: Headers = ()
    account: str = ""
    kind: OpenKind = "oauth"  # of the credential that paid
    note: str = ""  # why it was not the first choice, a sentence
    own: bool = False  # the key that came with the call paid, and none of aixtiv's

    def __repr__(self) -> str:
        return f"Head({self.status}, {len(self.headers)} headers, account={self.account!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("status", self.status), ("headers", len(self.headers)), ("account", self.account)]


class Piece(Told, frozen=True, tag="piece"):
    """More of the upstream answer's body, as it came: nothing is decoded."""

    data: Bytes

    def __repr__(self) -> str:
        return f"Piece({len(self.data)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("bytes", len(self.data))]


class TicketMade(Told, frozen=True, tag="ticket"):
    ticket: Secret  # shown this once; aixtiv keeps only its hash
    id: str
    account: str
    verbs: tuple[OpenVerb, ...]
    expires_at: int = 0  # 0: no limit but its holder's life
    base_url: str = ""  # of the gateway on 127.0.0.1; empty: there is no port
    socket: str = ""  # path of the gateway's Unix socket


class TicketShown(Told, frozen=True, tag="ticket-shown"):
    id: str
    account: str
    verbs: tuple[OpenVerb, ...]
    name: str = ""
    made_at: int = 0
    expires_at: int = 0
    used_at: int = 0  # 0: never
    holder: int = 0  # pid; 0: nobody
    program: str = ""  # the holder's, or that of who asked
    port: int = 0


class TicketList(Told, frozen=True, tag="tickets"):
    tickets: tuple[TicketShown, ...]
    more: bool = False  # there are others; then these are sorted by id


class AuditRecord(Told, frozen=True, tag="audit-record"):
    """One thing that happened. No field can hold a secret."""

    number: int
    at: float  # Unix time
    what: OpenWhat
    ok: bool = True
    account: str = ""
    pid: int = 0  # of the caller; 0: the daemon itself
    program: str = ""  # the caller's
    unit: str = ""  # systemd's, in which it runs
    agent: str = ""
    ticket: str = ""  # its id
    detail: str = ""  # a sentence, or a method and a path without its query
    status: int = 0  # of a relayed call
    sent: int = 0  # bytes of body towards the API
    received: int = 0  # bytes of body back
    kind: str = ""  # of the credential that paid
    plain: bool = False  # written while the vault was locked, without the key: nothing proves it
    count: int = 1  # tokens handed out, one soon after the other and all as this record says
    last_at: float = 0.0  # Unix time of the last of them; 0: there is one


class AuditVerdict(Told, frozen=True, tag="audit-verdict"):
    intact: bool
    records: int  # that are kept, as far as they are whole
    first: int = 1  # the number of the first of them: those before it were dropped, as the config says
    plain: int = 0  # of them written while the vault was locked, without the key: nothing proves those
    problem: str = ""  # a sentence


class UsageRow(Told, frozen=True, tag="usage-row"):
    account: str
    program: str
    agent: str = ""
    calls: int = 0
    sent: int = 0
    received: int = 0
    statuses: dict[str, int] = {}  # "200" -> how often; "0": no answer
    last_at: int = 0


class UsageReport(Told, frozen=True, tag="usage"):
    rows: tuple[UsageRow, ...]
    since: int = 0


class Finding(Told, frozen=True, tag="finding"):
    """One thing that was looked at."""

    name: str  # stable: `clock`, `issuer`, `token`
    ok: bool
    sentence: str
    hint: str = ""  # the command that mends it
    account: str = ""


class Examined(Told, frozen=True, tag="examined"):
    findings: tuple[Finding, ...]


class Exposition(Told, frozen=True, tag="metrics"):
    """Metrics in Prometheus' text format 0.0.4."""

    text: str


class Decision(Told, frozen=True, tag="decision"):
    """What one process may do with one account."""

    account: str  # empty: what is of no account
    rights: tuple[OpenRight, ...]
    rule: int = 0  # the number of the `[[rule]]` that decides, from 1; 0: the default
    why: str = ""  # a sentence
    paths: tuple[str, ...] = ()  # that may be relayed: prefixes; empty: all


class Explained(Told, frozen=True, tag="explained"):
    """What is known of a process, and what follows."""

    pid: int
    executable: str = ""  # path; empty: it cannot be read
    script: str = ""  # of an interpreter; any process can say what it likes here
    unit: str = ""  # systemd's, the innermost; empty: none
    cgroup: str = ""  # path
    through: int = 0  # pid of the `aixtiv` that asks for it; 0: it asks by itself
    note: str = ""  # what could not be found out, a sentence
    decisions: tuple[Decision, ...] = ()


class KeyChecked(Told, frozen=True, tag="key-checked"):
    """The key opens this store, and this is what it opened."""

    source: str
    reason: str = ""  # why that source, a sentence
    rows: int = 0  # seals that hold
    damaged: int = 0  # and that do not
    rotated_at: int = 0  # when the data key was made; 0: with the store
    cost: str = ""  # of a passphrase: the parameters of Argon2id, in words


class Restored(Told, frozen=True, tag="restored"):
    accounts: tuple[str, ...]  # that came back
    kept: tuple[str, ...] = ()  # that were there already, and stayed as they were
    made_at: int = 0  # when the backup was made


class Done(Told, frozen=True, tag="done"):
    note: str = ""


class End(Told, frozen=True, tag="end"):
    """The end of a stream."""

    trailers: Headers = ()  # of a relayed answer


class Failure(Told, frozen=True, tag="failure"):
    """Every failure there is. `message` is one plain sentence without a full stop; `hint` is a command to type."""

    code: OpenCode
    message: str
    hint: str = ""
    retry: bool = False  # whether the same request may succeed later by itself
    retry_after: float = 0.0  # seconds; 0: not known


Reply = (
    Welcome
    | AccessToken
    | HostToken
    | Account
    | AccountList
    | DaemonStatus
    | SignInStarted
    | Generation
    | GenerationList
    | AccountChanged
    | SignedIn
    | LoggedOut
    | Verified
    | Event
    | Head
    | Piece
    | TicketMade
    | TicketShown
    | TicketList
    | AuditRecord
    | AuditVerdict
    | UsageRow
    | UsageReport
    | Finding
    | Examined
    | Exposition
    | Decision
    | Explained
    | KeyChecked
    | Restored
    | Done
    | End
    | Failure
)
