"""What can be done with an account: one method for each request about one."""

import gc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Final

import anyio
import msgspec
from anyio.abc import TaskStatus

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.access.audit import Audit
from aixtivd.access.tickets import Tickets
from aixtivd.accounts import adopting, changes, examining, restoring
from aixtivd.accounts import generations as older
from aixtivd.accounts import grant as grants
from aixtivd.accounts import handing as hands
from aixtivd.accounts import renaming as renames
from aixtivd.accounts.book import Book, Entry, checked_name
from aixtivd.accounts.credential import Credential
from aixtivd.accounts.events import Events
from aixtivd.accounts.grant import Bound, Grant
from aixtivd.accounts.hosts import Hosts
from aixtivd.accounts.identities import Identities
from aixtivd.accounts.keys import check_key
from aixtivd.accounts.locking import Locking
from aixtivd.accounts.login import SignIns
from aixtivd.accounts.notices import Notices
from aixtivd.accounts.origin import origin_of
from aixtivd.accounts.page import page
from aixtivd.accounts.paying import Fallback, Paying
from aixtivd.accounts.publishing import Publishing
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.renewal import Renewal
from aixtivd.accounts.serving import Serving
from aixtivd.accounts.settling import Settling
from aixtivd.accounts.signin import SignIn
from aixtivd.accounts.sources import Sources
from aixtivd.accounts.terms import Terms
from aixtivd.accounts.typed import login_command
from aixtivd.accounts.work import Work
from aixtivd.clock import Clock
from aixtivd.config import Config
from aixtivd.errors import AixtivError, Locked, Misconfigured, NoAccount, Refused, SignInFailed
from aixtivd.oauth import response
from aixtivd.oauth.client import Client
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.web import Web
from aixtivd.vault import backup
from aixtivd.vault.vault import Vault

_MANY: Final = 1000  # accounts, from which on a look at all objects in memory takes more than a few milliseconds


class Accounts:
    """Every method raises AixtivError, and while the vault is locked Locked."""

    def __init__(
        self,
        vault: Vault,
        endpoint: Endpoint,
        web: Web,
        audit: Audit,
        config: Config,
        clock: Clock,
        tickets: Tickets | None = None,
    ) -> None:
        self._vault = vault
        self._endpoint = endpoint
        self._web = web
        self._tickets = tickets
        self._clock = clock
        self._book = Book()
        self._events = Events(audit, clock)
        self._work = Work()
        self._hosts = Hosts(config.refresh.at_once)
        self._settling = Settling(self._book, vault, endpoint, self._hosts, self._events, clock)
        self.refreshes: Mapping[str, int] = self._settling.counted  # new tokens asked for, by what came of it
        self._identities = Identities(self._book, clock, self._another)
        self._sources = Sources(endpoint, self._identities, self._hosts, clock)
        self._renewal = Renewal(self._settling, self._sources, self._hosts, clock)
        self._refresher = Refresher(self._book, self._settling, self._renewal, self._hosts, self._events, clock)
        self._serving = Serving(self._book, self._refresher, clock)
        self._sign_ins = SignIns(endpoint, web, self._work, self._events, clock, lambda: self._changes)
        self._terms = Terms(self._book, web, config)
        self._paying = Paying(self._book, self._serving, self._events, config, clock)
        self.publishing = Publishing(self._book, self._events, vault, config)
        parts = (self._settling, self._refresher, self._sign_ins, self._work, self._events)
        self._locking = Locking(self._book, vault, *parts, self.start)
        self._locking.closed.append(self.publishing.align)
        self.lock = self._locking.lock
        self.unlock = self._locking.unlock
        self.at_rest = self._locking.at_rest
        self.drain = self._locking.drain
        self.dismiss = self._locking.dismiss
        self.due = self._locking.due
        self.tell = self._events.tell
        self.cached = self._serving.cached
        self.said = self._serving.said
        self.token = self._serving.token
        self._book.configure(config.default_account)

    @cached_property
    def _changes(self) -> "changes.Changes":
        parts = (self._settling, self._refresher, self._events)
        return changes.Changes(self._book, self._vault, self._endpoint, self._web, *parts, self._clock)

    @cached_property
    def _restoring(self) -> "restoring.Restoring":
        turn = self._changes.turn
        return restoring.Restoring(self._book, self._settling, self._refresher, turn, self._events, self._clock)

    @cached_property
    def handing(self) -> "hands.Handing":
        return hands.Handing(self._book, self._serving, self._identities, self._paying, self._clock)

    @cached_property
    def _examining(self) -> "examining.Examining":
        parts = (self._vault, self._endpoint, self._web, self._serving)
        return examining.Examining(self._book, *parts, self._clock)

    @cached_property
    def _adopting(self) -> "adopting.Adopting":
        parts = (self._settling, self._refresher, self._changes.turn, self._work, self._events)
        return adopting.Adopting(self._book, self._vault, self._web, self._terms, *parts, self._clock)

    @cached_property
    def generations(self) -> "older.Generations":
        parts = (self._settling, self._refresher, self._work, self._events)
        return older.Generations(self._book, self._vault, self._changes, *parts, self._clock)

    @cached_property
    def renaming(self) -> "renames.Renaming":
        parts = (self._settling, self._refresher, self._sign_ins, self._terms, self._tickets)
        return renames.Renaming(self._book, self._changes, *parts, self._events)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """The refresher, and whatever a caller's hang-up must not cut. Runs until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._work.begin(tasks)
            await tasks.start(self._refresher.run)
            await tasks.start(self.publishing.run)
            task_status.started()
            await anyio.sleep_forever()

    async def start(self) -> None:
        """After the vault was opened or unlocked: loads the grants and finishes what a crash interrupted."""
        entries: dict[bytes, Entry] = {}
        for row in await self._vault.rows():
            try:
                grant = grants.from_row(row)
            except msgspec.DecodeError:
                log.error("unreadable-grant", row=row.id.hex()[:8])
                continue
            entries[grant.id] = Entry(grant, self._clock, saved=grant)
            self._book.add(entries[grant.id])
        await self._settling.recover(entries)
        self._book.open()
        self._refresher.resume()
        self.publishing.wake()
        if len(self._book) >= _MANY:
            gc.freeze()  # these stay: looking through all of them again and again would hold callers up

    def reconfigure(self, config: Config) -> None:
        self._terms.config = self._paying.config = config
        self._book.configure(config.default_account)
        self._hosts.configure(config.refresh.at_once)
        self.publishing.reconfigure(config)

    def states(self, after: str = "", visible: Callable[[str], bool] = bool) -> Iterator[replies.Account]:
        """The accounts as `status` and `accounts` show them, by name; none while locked.

        `visible`: whether an account of that name is shown to who asks (every name is true).
        """
        default = self._book.default
        for entry in self._book.behind(after):
            if visible(entry.grant.name):
                yield entry.described(self._clock, default=entry.grant.name == default)

    def accounts(self, after: str = "", visible: Callable[[str], bool] = bool) -> replies.AccountList:
        """As many as one answer can carry."""
        if self._book.closed:
            raise Locked
        return page(self.states(after, visible))

    async def login(self, asked: requests.Login) -> AsyncIterator[replies.SignInStarted | replies.SignedIn]:
        """Starts or joins the sign-in of an account: first where the browser goes, then how it ended.

        With a source nobody goes anywhere: it is asked, and that was it.
        """
        name = self._name_for(asked.account)
        sign_in = self._sign_ins.of(name)
        if (
            sign_in
            and not sign_in.suits(asked)
            and self._sign_ins.end(name, f"another sign-in to {name} took its place")
        ):
            sign_in = None
        joined = sign_in is not None
        if sign_in is None:
            await self._vault.journal.probe()  # before anybody is sent to a browser, or anything is asked for
            terms = await self._terms.of(name, asked)
            if terms.client is None or terms.source is not None:
                yield await self._by_source(name, terms, asked)
                return
            sign_in = await self._new_sign_in(name, terms, terms.client, asked)
            joined = sign_in.terms is not terms  # another caller's, who was first while this one waited
        yield await self._sign_ins.started(sign_in, asked, joined=joined)
        yield await sign_in.outcome()

    async def callback(self, asked: requests.Callback) -> replies.SignedIn:
        if self._book.closed:
            raise Locked
        return await self._sign_ins.redeem_pasted(asked.account, response.parse_pasted(asked.pasted))

    async def adopt(self, asked: requests.Adopt) -> replies.SignedIn:
        """A refresh token from elsewhere: stored first, and then refreshed like any other."""
        name = self._name_for(asked.account)
        if self._sign_ins.of(name):
            raise SignInFailed(f"a sign-in to {name} is open: finish or end that first", hint=f"aixtiv callback {name}")
        return await self._adopting.adopt(name, asked)

    async def refresh(self, asked: requests.Refresh) -> replies.Account:
        entry = self._book.named(asked.account, "refresh")
        if not entry.grant.renewable:
            raise _cannot_refresh(entry.grant)
        before = entry.grant.refreshed_at
        deadline = self._clock.steady() + asked.wait
        self._refresher.force(entry)
        await self._refresher.settled(entry, deadline)
        entry = self._book.named(entry.grant.name)
        if entry.grant.refreshed_at == before and entry.problem:
            raise entry.over(self._clock)
        return self._examining.described(entry)

    async def logout(self, asked: requests.Logout) -> replies.LoggedOut:
        name = asked.account or self._book.default
        ended = self._sign_ins.end(name, "it was ended by a logout")
        there = self._book.find(name)
        if ended and there is None:
            return replies.LoggedOut(account=name, note="nobody had signed in yet; the open sign-in was ended")
        if ended and there is not None and there.grant.kind == "api-key":
            return replies.LoggedOut(account=name, note=f"the API key of {name} stays", remains=True)
        entry = self._book.named(asked.account, "logout")
        try:
            return await self._work.run(self._changes.log_out, entry.grant.name)
        finally:
            await self.publishing.align()

    async def rename(self, asked: requests.Rename) -> replies.AccountChanged:
        entry = self._book.named(asked.account, "account rename")
        note = await self._work.run(self.renaming.rename, entry.grant.name, checked_name(asked.to))
        return replies.AccountChanged(account=self._examining.described(entry), note=note)

    async def verify(self, asked: requests.Verify) -> replies.Verified:
        return await self._examining.verify(self._book.named(asked.account, "verify"), asked.wait)

    async def api_key(self, asked: requests.ApiKey) -> replies.Account | replies.LoggedOut:
        if asked.key is None:
            entry = self._book.named(asked.account, "api-key remove")
            return await self._work.run(self._changes.drop_key, entry.grant.name)
        key = asked.key.reveal()
        name = self._name_for(asked.account)
        there = self._book.find(name)
        provider = there.grant.provider if there else self._terms.provider(name)
        check_key(key, name, provider)
        endpoint = origin_of(asked.endpoint) if asked.endpoint else ""
        usual = self._terms.usual_origin(name, provider)
        return await self._work.run(self._changes.keep_key, name, provider, asked.key, endpoint, usual)

    def content(self) -> "backup.Content":
        """Every account, for a backup."""
        return self._restoring.content()

    async def restore(self, content: "backup.Content", *, replace: bool) -> "restoring.Restored":
        """What a backup holds: all of it or nothing, whoever hangs up."""
        return await self._work.run(partial(self._restoring.restore, content, replace=replace))

    def relayed(self, name: str, may: Callable[[str], bool] = bool) -> str:
        """The account that a relay means which names none, among those that `may` be."""
        return self._paying.relayed(name, may)

    def source_of(self, asked: requests.Login) -> requests.Source | None:
        """The one that this sign-in would ask. Raises Locked."""
        return self._terms.source(self.meant(asked.account), asked)

    def known(self, name: str) -> bool:
        return self._book.find(name) is not None

    def names(self) -> tuple[str, ...]:
        """Of all accounts; none while locked."""
        return tuple(sorted(entry.grant.name for entry in self._book))

    def meant(self, name: str) -> str:
        """The account of a request that names it, or none: then the default; empty: there is none. Raises Locked."""
        if self._book.closed and not name:
            raise Locked
        return name or self._book.default

    def pasted(self, asked: requests.Callback, may: Callable[[str], bool]) -> str:
        """The account whose sign-in that would finish, among those that `may` be. Raises as `callback` does."""
        if self._book.closed:
            raise Locked
        return self._sign_ins.of_pasted(asked.account, response.parse_pasted(asked.pasted), may).account

    def signing_in(self, name: str) -> bool:
        """Whether a sign-in to that is open."""
        return self._sign_ins.of(name) is not None

    def near(self, name: str) -> str:
        """The account that may have been meant by a name that is none; empty: none."""
        return self._book.near(name)

    async def credential(
        self,
        name: str,
        *,
        key: Secret | None = None,
        fallback: Fallback = "",
        wait: float = 30.0,
        refused: Credential | None = None,
    ) -> Credential:
        """What is attached to a relayed call, by the order and the conditions of D12.

        `key`: came with the call. `refused`: drew a 401; what comes back then is another one, or an AixtivError says
        why there is none: after a refused API key always, since nothing comes after a key (the 401 is the answer). It
        comes back itself where there is no better one, and it is not to blame: then the 401 is the answer, too.
        """
        return await self._paying.credential(name, key=key, fallback=fallback, wait=wait, refused=refused)

    def answered(self, credential: Credential, status: int) -> None:
        """What an API answered to a call with that credential."""
        self._paying.answered(credential, status)

    async def examine(self, asked: requests.Examine) -> replies.Examined:
        """What the daemon can find out about itself and an account."""
        return await self._examining.examine(asked.account)

    def watch(self) -> AsyncIterator[replies.Event]:
        return self._events.watch()

    def notices(self, config: Config) -> Notices:
        """What tells the person of accounts in trouble, for whoever runs it."""
        return Notices(self._book, self._sign_ins, self._events, self._vault, config, self._clock)

    @property
    def locked(self) -> bool:
        return self._book.closed

    def _name_for(self, name: str) -> str:
        if self._book.closed:
            raise Locked
        if name or self._book.default:
            return checked_name(name or self._book.default)
        raise NoAccount("no account was named, and there is no default", hint="aixtiv login github")

    async def _by_source(self, name: str, terms: Bound, asked: requests.Login) -> replies.SignedIn:
        """Asking spends nothing, so that a caller's hang-up may cut it; what was got is stored whoever hangs up."""
        entry = self._book.find(name)
        if entry and (other := changes.another(entry.grant, terms, asked, known=False)):
            raise other
        self._sign_ins.end(name, f"another sign-in to {name} took its place")
        seen = entry.grant if entry else None
        old = seen or changes.blank(name, terms.provider)
        try:
            tokens = await self._sources.ask(grants.bound(old, terms, self._clock.wall()))
        except AixtivError as failure:
            self._events.exchange_failed(name, failure.sentence)
            raise type(failure)(
                f"{name}: {failure.sentence}", hint=failure.hint or login_command(asked, name)
            ) from None
        return await self._work.run(self._changes.bind, name, terms, tokens, asked, seen)

    async def _new_sign_in(self, name: str, terms: Bound, client: Client, asked: requests.Login) -> SignIn:
        entry = self._book.find(name)
        if entry and (other := changes.another(entry.grant, terms, asked, known=False)):
            raise other  # before anybody is sent to a browser
        await self._sign_ins.vacated(name)
        if (open_now := self._sign_ins.of(name)) is not None:
            return open_now  # another caller was first while this one waited
        sign_in = SignIn(name, client, terms, asked)
        self._sign_ins.begin(sign_in, asked.port)
        return sign_in

    async def _another(self, entry: Entry, deadline: float) -> None:
        """For `Identities`, which `Serving` itself rests on."""
        await self._serving.another(entry, deadline)


def _cannot_refresh(grant: Grant) -> AixtivError:
    if grant.client is None:
        return Refused(f"{grant.name} is an API key: it does not expire", hint=f"aixtiv token {grant.name}")
    return Misconfigured(
        f"the provider gave no refresh token for {grant.name}",
        hint=f"aixtiv login {grant.name} --scope offline_access",
    )
