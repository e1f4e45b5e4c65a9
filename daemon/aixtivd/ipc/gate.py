"""The config's rules on the socket: which right each request needs, and what of an answer its caller may be told.

Nothing here is asked where there are no rules. A relayed call is judged by the relay itself, whichever way it came.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeVar, assert_never, cast

from msgspec import Struct
from msgspec.structs import replace

from aixtiv_protocol import replies, requests
from aixtiv_protocol.replies import Reply
from aixtiv_protocol.requests import Request, Right
from aixtivd.access.caller import Caller
from aixtivd.access.rules import Rules
from aixtivd.access.tickets import Tickets
from aixtivd.accounts import restoring
from aixtivd.accounts.page import page, room_beside
from aixtivd.accounts.service import Accounts
from aixtivd.errors import BadRequest, Locked, NotAllowed
from aixtivd.vault import backup

A = TypeVar("A", bound=Request)
About = TypeVar(
    "About",
    requests.Token,
    requests.Login,
    requests.Refresh | requests.Verify,
    requests.Adopt | requests.Logout | requests.ApiKey | requests.Generations | requests.Reinstate,
)
T = TypeVar("T", bound=Struct)
L = TypeVar("L", replies.TicketShown, replies.UsageRow, replies.Finding)

_WORDS: Final = frozenset({"problem", "hint", "note", "sentence", "detail", "message", "why"})
"""Fields in which sentences stand, which may name accounts."""


class Gate:
    def __init__(self, rules: Rules, accounts: Accounts, tickets: Tickets) -> None:
        self._rules = rules
        self._accounts = accounts
        self._tickets = tickets

    def admit(self, asked: A, caller: Caller) -> A:
        """The request with the account said that it means, so that no other is taken. Raises NotAllowed, and whatever
        asking for such an account raises.
        """
        return cast("A", self._admitted(asked, caller))

    def _admitted(self, asked: Request, caller: Caller) -> Request:  # noqa: C901, PLR0912  # one case a request: a table
        check = self._rules.check
        match asked:
            case requests.Hello() | requests.Status() | requests.Relay() | requests.Piece():
                pass
            case requests.Token():
                return self._about(asked, caller, "token")
            case requests.HostToken():
                if asked.account:
                    check(caller, "token", asked.account)  # before it is told what the config says of it
                asked = replace(asked, account=self._accounts.handing.account(asked))
                check(caller, "token", asked.account)
            case requests.Refresh() | requests.Verify():
                meant = self._accounts.meant(asked.account)
                right: Right = "relay" if self._rules.relay_only(meant) else "token"  # none of them shows it
                return self._about(asked, caller, right)
            case requests.Login():
                return self._sign_in(asked, caller)
            case requests.Callback():
                return self._callback(asked, caller)
            case (
                requests.Adopt() | requests.Logout() | requests.ApiKey() | requests.Generations() | requests.Reinstate()
            ):
                return self._about(asked, caller, "manage")
            case requests.Ticket():
                if not asked.verbs:  # no right to look at: nothing may be said about the account
                    raise BadRequest("a ticket has to be good for something: relay, token")
                asked = self._ticket(asked, caller)
            case requests.RevokeTicket():
                self._ending(asked.ticket, caller)
            case requests.Accounts() | requests.Watch():
                self._lists_any(caller)
            case requests.Examine():
                if asked.account:
                    check(caller, "list", asked.account)
                else:
                    self._lists_any(caller)
            case requests.Audit():
                check(caller, "manage", "" if asked.verify or asked.new else asked.account)
                self._rules.be_sure(caller)
            case requests.Explain():
                if asked.pid not in {0, caller.pid, caller.parent}:
                    check(caller, "manage", "")
                self._rules.be_sure(caller)
            case requests.Rename():
                asked = self._renaming(asked, caller)
            case requests.Usage() | requests.Tickets() | requests.Metrics():
                check(caller, "manage", "")
                self._rules.be_sure(caller)
            case requests.Export() | requests.Restore():
                for account in ("", *self._accounts.names()):
                    check(caller, "manage", account)
            case (
                requests.KeyCheck()
                | requests.KeyRotate()
                | requests.KeyMove()
                | requests.Lock()
                | requests.Unlock()
                | requests.Reload()
                | requests.Restart()
                | requests.Stop()
            ):
                check(caller, "manage", "")
            case _:
                assert_never(asked)
        return asked

    def _about(self, asked: About, caller: Caller, right: Right) -> About:
        """A request about one account: the one it names, or the default."""
        account = self._accounts.meant(asked.account)
        self._rules.check(caller, right, account)
        return replace(asked, account=account)

    def _sign_in(self, asked: requests.Login, caller: Caller) -> requests.Login:
        """The account's right first: by whom it is fed is not told."""
        asked = self._about(asked, caller, "manage")
        self._feeding(caller, self._accounts.source_of(asked))
        return asked

    def _renaming(self, asked: requests.Rename, caller: Caller) -> requests.Rename:
        """Rules are about names: nobody gets by another one what the present one forbids, the caller or another."""
        name = self._accounts.meant(asked.account)
        for each in (name, asked.to):
            self._rules.check(caller, "manage", each)
        if why := self._rules.freeing(name, asked.to):
            raise NotAllowed(why, hint="aixtiv reload")
        if self._accounts.renaming.fed_by(asked.to):  # by an account that was of that name
            self._feeding(caller, requests.Federation(identity_account=asked.to))
        return replace(asked, account=name)

    def feeding(self, caller: Caller) -> Callable[[requests.Source | None], None]:
        """To be asked where a source is known later. Raises NotAllowed."""
        return partial(self._feeding, caller) if self._rules.any else lambda _: None

    def _feeding(self, caller: Caller, source: requests.Source | None) -> None:
        """Whoever has an account's identity sent somewhere has its token, as far as that goes."""
        if isinstance(source, requests.Federation) and (feeder := source.identity_account):
            if "token" not in self._rules.verdict(caller, feeder).rights:  # whether it is there does not show
                raise NotAllowed("an account's identity is sent elsewhere only by who may have its token")
            self._rules.check(caller, "token", feeder)

    def brought(self, caller: Caller, content: "backup.Content") -> None:
        """The accounts of a backup, also those that are not there yet. Raises NotAllowed, BadRequest."""
        if self._rules.any:
            for grant in restoring.read(content).values():
                self._rules.check(caller, "manage", grant.name)
                self._feeding(caller, grant.source)

    def _ticket(self, asked: requests.Ticket, caller: Caller) -> requests.Ticket:
        account = self._accounts.relayed(asked.account, self._rules.relaying(caller))
        try:
            for verb in asked.verbs:
                self._rules.check(caller, verb, account)
        except NotAllowed:
            if asked.account or self._rules.lists(caller, account):
                raise
            raise NotAllowed("no account was named, and there is none for which you may have that ticket") from None
        return replace(asked, account=account)

    def _ending(self, word: str, caller: Caller) -> None:
        """Tickets that it may not end are as if there were none of that name."""
        meant = self._tickets.of(word)
        if not meant or not all("manage" in self._rules.verdict(caller, held.account).rights for held in meant):
            self._rules.check(caller, "manage", "")
            if meant:
                raise self._tickets.unknown(word)
        for held in meant:
            self._rules.check(caller, "manage", held.account)

    def _callback(self, asked: requests.Callback, caller: Caller) -> requests.Callback:
        if asked.account:
            self._rules.check(caller, "manage", asked.account)
            return asked
        self._rules.be_sure(caller)
        account = self._accounts.pasted(asked, lambda name: "manage" in self._rules.verdict(caller, name).rights)
        self._rules.check(caller, "manage", account)
        return replace(asked, account=account)

    def _lists_any(self, caller: Caller) -> None:
        """Raises NotAllowed for a caller who could be told of nothing."""
        self._rules.be_sure(caller)
        if not any(self._rules.lists(caller, name) for name in self._accounts.names()):
            self._rules.check(caller, "list", "")

    # What of an answer is told

    def told(self, asked: Request, caller: Caller, answer: Reply) -> Reply:  # noqa: C901  # one case an answer: a table
        """Raises NotAllowed for a token that may not be handed out any more: it may have been waited for."""
        match answer:
            case replies.AccessToken() | replies.HostToken():
                self._rules.check(caller, "token", answer.account)
            case replies.AccountList():
                return page(self._states(caller, getattr(asked, "after", "")))
            case replies.DaemonStatus():
                answer = self._status(answer, caller)
            case replies.TicketList():
                answer = replace(answer, tickets=self._listed(answer.tickets, caller))
            case replies.UsageReport():
                answer = replace(answer, rows=self._listed(answer.rows, caller))
            case replies.Examined() if not getattr(asked, "account", ""):
                answer = replace(answer, findings=self._listed(answer.findings, caller))
            case replies.Account() if not self._rules.lists(caller, answer.name):
                answer = _unnamed(answer)
            case replies.AccountChanged() if not self._rules.lists(caller, answer.account.name):
                answer = replace(answer, account=_unnamed(answer.account))
            case replies.GenerationList() if not self._rules.lists(caller, answer.account):
                answer = replace(answer, generations=tuple(replace(one, who="") for one in answer.generations))
            case replies.Verified() if not self._rules.lists(caller, answer.account.name):
                answer = replace(answer, account=_unnamed(answer.account))
            case _:
                pass
        return self.quiet(answer, caller, getattr(asked, "account", ""))

    def _status(self, status: replies.DaemonStatus, caller: Caller) -> replies.DaemonStatus:
        """Accounts, and the hosts where they are, only to who may be told of them."""
        skews = status.skews if self._rules.lists(caller, "") else {}
        bare = replace(status, accounts=(), more=False, skews=skews)
        shown = page(self._states(caller), room_beside(bare))
        return replace(bare, accounts=shown.accounts, more=shown.more)

    def _states(self, caller: Caller, after: str = "") -> Iterator[replies.Account]:
        for state in self._accounts.states(after, partial(self._rules.lists, caller)):
            yield self.quiet(state, caller)

    def _listed(self, items: tuple[L, ...], caller: Caller) -> tuple[L, ...]:
        return tuple(item for item in items if self._rules.lists(caller, item.account))

    async def passing(self, items: AsyncIterator[Reply], caller: Caller) -> AsyncGenerator[Reply, None]:
        """Of events and records those that are of no account, or of one that the caller may be told of.

        Records may name accounts that are no more: those of whose names a rule is, and those met on the way.
        """
        met: set[str] = set()

        def was_name(word: str) -> bool:
            return word in met or self._is_name(word) or self._rules.by_name(caller, word)

        async with aclosing(cast("AsyncGenerator[Reply, None]", items)):
            async for item in items:
                if not self._rules.any:
                    yield item
                    continue
                if account := getattr(item, "account", ""):
                    met.add(account)
                if not account or self._rules.lists(caller, account):
                    known = was_name if isinstance(item, replies.AuditRecord) else self._is_name
                    yield self.quiet(self._while_locked(item, caller), caller, known=known)

    def _while_locked(self, item: Reply, caller: Caller) -> Reply:
        """Then nobody knows which words are names."""
        if not getattr(item, "detail", "") or not self._accounts.locked or self._rules.lists_all(caller):
            return item
        return replace(item, detail="")

    async def quieting(
        self, items: AsyncIterator[Reply], asked: requests.Login, caller: Caller
    ) -> AsyncGenerator[Reply, None]:
        """What a sign-in tells, its notes about other accounts too."""
        async with aclosing(cast("AsyncGenerator[Reply, None]", items)):
            async for item in items:
                yield self.quiet(item, caller, asked.account) if self._rules.any else item

    def failed(self, asked: Request, caller: Caller, failure: replies.Failure) -> replies.Failure:
        """What was near to a name that is none is told only to who may be told of all: else it would show by what is
        left out that there is something near.
        """
        if failure.code == "no_account" and not self._rules.lists_all(caller):
            failure = replace(failure, message=failure.message.partition(";")[0], hint="")
        return self.quiet(failure, caller, getattr(asked, "account", ""))

    def quiet(self, answer: T, caller: Caller, about: str = "", known: Callable[[str], bool] | None = None) -> T:
        """The same without the names of accounts that the caller may not be told of, in sentences and hints.

        `known`: what is a name; else those of the accounts that there are.
        """
        known = known or self._is_name
        changed: dict[str, Any] = {}
        for field in answer.__struct_fields__:
            value = getattr(answer, field)
            if isinstance(value, str) and value and field in _WORDS:
                shown = self._rules.without_names_in_hint if field == "hint" else self._rules.without_names
                if (text := shown(value, caller, about, known)) != value:
                    changed[field] = text
            elif isinstance(value, Struct):
                changed[field] = self.quiet(value, caller, about, known)
            elif isinstance(value, tuple) and value and isinstance(value[0], Struct):
                changed[field] = tuple(self.quiet(item, caller, about, known) for item in value)
        return replace(answer, **changed) if changed else answer

    def _is_name(self, word: str) -> bool:
        if self._accounts.handing.named(word):  # by the config, perhaps before anybody signed in
            return True
        try:
            return self._accounts.known(word) or self._accounts.signing_in(word)
        except Locked:
            return False


def _unnamed(account: replies.Account) -> replies.Account:
    """Without who is behind it."""
    return replace(account, subject="", who="", issuer="")
