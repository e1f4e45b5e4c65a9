"""Which request goes to which method: one exhaustive match, and the one place where a failure becomes a Failure."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import cached_property, partial
from typing import Final, Protocol, assert_never, cast, get_args

import anyio
from msgspec.structs import replace

from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.codec import Mode, ProtocolError
from aixtiv_protocol.replies import Done, Failure, Reply
from aixtiv_protocol.requests import Request, Token
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.access.audit import Audit
from aixtivd.access.caller import Caller
from aixtivd.access.denials import Denials
from aixtivd.access.note import Tally
from aixtivd.access.rules import Rules
from aixtivd.access.ticket import page
from aixtivd.access.tickets import Tickets
from aixtivd.accounts.service import Accounts
from aixtivd.clock import Clock
from aixtivd.config import Config
from aixtivd.errors import AixtivError, BadRequest, Locked, NotAllowed
from aixtivd.gateway.gateway import Gateway
from aixtivd.ipc import explaining, keying
from aixtivd.ipc.backups import Backups
from aixtivd.ipc.calls import Calls
from aixtivd.ipc.gate import Gate
from aixtivd.ipc.metrics import Metrics
from aixtivd.ipc.opening import ALWAYS, Opening
from aixtivd.ipc.record import Record
from aixtivd.relay.call import Body
from aixtivd.relay.relay import Relay
from aixtivd.vault.vault import Vault

Stream = AsyncGenerator[Reply, None]
"""Any number of items; a Failure is always the last. The session adds the End."""

_HANDED_OUT: Final = (Token, requests.HostToken, requests.Ticket, requests.Export)
"""What is not given where it cannot be recorded. A relayed call, which the gateway makes, too, asks for itself."""

KEPT: Final = frozenset(
    {
        requests.Adopt,
        requests.Logout,
        requests.Rename,
        requests.Reinstate,
        requests.ApiKey,
        requests.RevokeTicket,
        requests.Lock,
        requests.Unlock,
        requests.Reload,
        requests.Restart,
        requests.Stop,
    }
)
"""What changes something, and goes on to its end and into the audit log whoever hangs up meanwhile. So do, as soon as
it is their turn, a key's rotation and move (`Keying`) and a restore (`Backups`): what waits may be long there. A ticket
whose caller has gone is revoked (`Calls`), and a sign-in is told by `accounts.events`."""

Answer = Reply | Secret | Stream
"""A Secret is the answer to `form: "bare"`."""

OPS: tuple[str, ...] = tuple(sorted(str(kind.__struct_config__.tag) for kind in get_args(Request)))
"""Every request this daemon knows, by the name it has on the wire."""


class Control(Protocol):
    """What can be asked about the daemon itself."""

    @property
    def restart(self) -> str:
        """The command that restarts this daemon."""

    def hello(self, asked: requests.Hello) -> replies.Welcome: ...

    def status(self) -> replies.DaemonStatus: ...

    async def reload(self) -> str:
        """What was done, a sentence. Raises BadConfig; then nothing has changed."""

    async def restart_now(self) -> str:
        """Begins to become the `aixtivd` that is installed, and returns: a sentence. Raises where it could not."""

    def stop(self) -> None:
        """Begins to stop, and returns."""


class Known:
    """A request for a token that was answered at once. `tally`: where the last answer to it was counted."""

    __slots__ = ("asked", "caller", "mode", "tally")

    def __init__(self, asked: Token, caller: Caller, mode: Mode) -> None:
        self.asked = asked
        self.caller = caller
        self.mode: Mode = mode
        self.tally: Tally | None = None


class Dispatch:
    def __init__(  # noqa: PLR0913, PLR0917  # the parts that requests reach
        self,
        accounts: Accounts,
        relay: Relay,
        gateway: Gateway,
        tickets: Tickets,
        audit: Audit,
        rules: Rules,
        vault: Vault,
        control: Control,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._calls = Calls(accounts, relay, gateway, tickets)
        self._tickets = tickets
        self._audit = audit
        self.opening = opening = Opening(accounts, relay, tickets, audit, self._calls.leases, clock)
        relay.refuses = lambda: opening.locking
        self._denials = Denials(audit, time.monotonic)
        self._record = Record(audit, accounts, self._denials)
        self._rules = rules
        self._gate = Gate(rules, accounts, tickets)
        self._vault = vault
        self._backups = Backups(accounts, vault)
        self.metrics = Metrics(
            accounts,
            control.status,
            asked=lambda: opening.idleness.requests,
            tokens=lambda: self._record.tokens,
            relayed=lambda: relay.statuses,
            denials=lambda: self._denials.counted + relay.denials.counted + gateway.denials.counted,
        )
        self._control = control
        self._wall, self._said = clock.wall, accounts.said

    @cached_property
    def _explaining(self) -> "explaining.Explaining":
        return explaining.Explaining(self._rules, self._accounts)

    @cached_property
    def _keying(self) -> "keying.Keying":
        return keying.Keying(self._accounts, self._vault, lambda: self._control.status().config)

    def configure(self, config: Config) -> None:
        self.opening.configure(config)
        self._backups.configure(config)

    def at_once(self, request: Request, caller: Caller) -> Reply | Secret | None:
        """The hot path (D4): a token that is in memory, without a task. None: `answer` has to be asked."""
        if type(request) is not Token or request.ticket is not None or self._audit.stopped or self.opening.locking:
            return None
        try:
            if self._rules.any:
                request = self._gate.admit(request, caller)
            token = self._accounts.cached(request)
        except AixtivError as error:
            return self._refused(request, caller, error)
        except Exception as error:  # noqa: BLE001  # a defect must not end the caller's connection
            return defect(error)
        if token is None:
            return None
        self._record.token(caller, token.account, self._wall())
        self.opening.idleness.requests += 1
        return token.access_token if request.form == "bare" else token

    def again(self, known: Known) -> bytes | None:
        """As `at_once` for what it has answered before: encoded, or None wherever there is more to it.

        Where there are rules, it is theirs to say each time, about a caller who may be another program by now.
        """
        if self._rules.any or self._audit.stopped or self.opening.locking:
            return None
        now = self._wall()
        try:
            said = self._said(known.asked, known.mode, now)
        except Exception:  # noqa: BLE001  # a defect: `at_once` comes upon it, too, and says so
            said = None
        if said is None:
            return None
        known.tally = self._record.token(known.caller, said.account, now, known.tally)
        self.opening.idleness.requests += 1
        return said.data

    async def answer(self, request: Request, caller: Caller, body: Body | None = None) -> Answer:
        """Every other way to an answer; `body`: of a relay. Never raises but when it is cancelled."""
        try:
            self.opening.check(request)
            if type(request) is Token and request.ticket is not None:
                account, caller = self._calls.shown(request.ticket, "token", request.account, caller)
                request = replace(request, account=account, ticket=None)
            if type(request) is requests.Rename:  # afterwards nobody knows which one was meant
                request = replace(request, account=self._accounts.meant(request.account))
            if type(request) in _HANDED_OUT:
                self._audit.admit()
            answer = await self._judged(request, caller, body)
            if isinstance(answer, replies.AccessToken | replies.HostToken):  # it may have waited for a refresh
                self._audit.admit()
        except AixtivError as error:
            return self._refused(request, caller, error)
        except Exception as error:  # noqa: BLE001  # a defect is one caller's Failure, not the daemon's end
            return defect(error)
        if isinstance(answer, AsyncGenerator):
            return answer
        self._record.answered(request, caller, answer)
        if isinstance(answer, replies.AccessToken) and type(request) is Token and request.form == "bare":
            return answer.access_token
        return answer

    def too_late(self, request: Request, caller: Caller) -> Request | Failure:
        """What becomes of one that was not begun before the vault was locked: an unlock is not kept either, since a
        passphrase is in it.
        """
        if type(request) in ALWAYS and type(request) is not requests.Unlock:
            return request
        return self._refused(request, caller, Locked("the vault was locked meanwhile"))

    async def _judged(self, request: Request, caller: Caller, body: Body | None) -> Reply | Stream:
        """As the config's rules have it."""
        if not self._rules.any:
            return await self._leased(request, caller, body)
        answer = await self._leased(self._gate.admit(request, caller), caller, body)
        return answer if isinstance(answer, AsyncGenerator) else self._gate.told(request, caller, answer)

    async def _leased(self, request: Request, caller: Caller, body: Body | None) -> Reply | Stream:
        """Ended with its ticket, and when the vault is locked; but not what locks it."""
        if type(request) in ALWAYS:
            return await self._kept(request, caller, body)
        with self._calls.leases.on(caller.ticket) as lease, lease.waiting():
            return await self._kept(request, caller, body)

    async def _kept(self, request: Request, caller: Caller, body: Body | None) -> Reply | Stream:
        """From the end of what is shielded nothing waits any more until it is recorded."""
        with anyio.CancelScope(shield=type(request) in KEPT):
            answer = await self._ask(request, caller, body)
        return answer  # noqa: RET504  # within the scope mypy misses a return: some scopes swallow

    def _refused(self, request: Request, caller: Caller, error: AixtivError, *, begun: bool = False) -> Failure:
        failure = error.failure()
        self._record.refused(request, caller, failure, begun=begun, by_rule=isinstance(error, NotAllowed))
        return self._gate.failed(request, caller, failure) if self._rules.any else failure

    def close(self) -> None:
        """Nobody is left: what of their denials was held back is told."""
        self._denials.flush()

    def misunderstood(self, error: ProtocolError) -> Failure:
        """For a request of a newer command, how to get a newer daemon."""
        newer = str(error).startswith("this daemon does not know")
        sentence = str(error).replace("this daemon", f"aixtivd {VERSION}", 1)
        return Failure(code=error.code, message=sentence, hint=self._control.restart if newer else "")

    async def _ask(  # noqa: C901, PLR0911, PLR0912  # one case a request: a table
        self, request: Request, caller: Caller, body: Body | None
    ) -> Reply | Stream:
        accounts, calls, control = self._accounts, self._calls, self._control
        match request:
            case Token():
                return await accounts.token(request)
            case requests.HostToken():
                return await accounts.handing.token(request)
            case requests.Hello():
                return control.hello(request)
            case requests.Accounts():
                return accounts.accounts(request.after)
            case requests.Status():
                return control.status()
            case requests.Login():
                items = self._gate.quieting(self._lasting(accounts.login(request)), request, caller)
                return self._stream(self._begun(items, caller), request, caller)
            case requests.Adopt():
                return await accounts.adopt(request)
            case requests.Callback():
                return await accounts.callback(request)
            case requests.Refresh():
                return await accounts.refresh(request)
            case requests.Logout():
                return await accounts.logout(request)
            case requests.Verify():
                return await accounts.verify(request)
            case requests.Rename():
                return await accounts.rename(request)
            case requests.Generations():
                return await accounts.generations.shown(request)
            case requests.Reinstate():
                return await accounts.generations.reinstate(request, self._gate.feeding(caller))
            case requests.ApiKey():
                return await accounts.api_key(request)
            case requests.Relay():
                assert body is not None
                return self._stream(calls.relayed(calls.prepared(request, caller, body)), request, caller)
            case requests.Piece():
                raise BadRequest("a piece of a body is no request of its own")  # the session takes them
            case requests.Ticket():
                return await calls.ticket(request, caller)
            case requests.Tickets():
                return page(self._tickets.shown(), request.after, self._listed(caller))
            case requests.RevokeTicket():
                return await calls.revoke(request)
            case requests.Audit(new=True):
                return Done(note=await self._audit.begin_anew(caller))
            case requests.Audit(verify=True):
                return await self._audit.verify()
            case requests.Audit():
                return self._stream(self._gate.passing(self._audit.records(request), caller), request, caller)
            case requests.Usage():
                return await self._audit.usage(request)
            case requests.Examine():
                return await accounts.examine(request)
            case requests.Watch():
                return self._stream(self._gate.passing(accounts.watch(), caller), request, caller)
            case requests.Metrics():
                return await self.metrics.exposition(request, self._listed(caller))
            case requests.Explain():
                return self._explaining.explain(request, caller)
            case requests.KeyCheck():
                return await self._keying.check(request)
            case requests.KeyRotate():
                return Done(note=await self._keying.rotate(request))
            case requests.KeyMove():
                return Done(note=await self._keying.move(request))
            case requests.Export():
                return self._stream(self._begun(self._lasting(self._backups.export(request)), caller), request, caller)
            case requests.Restore():
                assert body is not None
                return await self._backups.restore(request, body, partial(self._gate.brought, caller))
            case requests.Lock():
                await self.opening.lock()
                return Done(note="locked")
            case requests.Unlock():
                await self.opening.unlock(request)
                return Done(note="unlocked")
            case requests.Reload():
                return Done(note=await control.reload())
            case requests.Restart():
                return Done(note=await control.restart_now())
            case requests.Stop():
                control.stop()
                return Done(note="stopping")
            case _:
                assert_never(request)

    def _listed(self, caller: Caller) -> Callable[[str], bool]:
        """Whether a caller may be told of an account of that name."""
        return partial(self._rules.lists, caller) if self._rules.any else bool

    async def _begun(self, items: AsyncIterator[Reply], caller: Caller) -> AsyncIterator[Reply]:
        first = True
        async with aclosing(cast("Stream", items)):
            async for item in items:
                if first:
                    self._record.begun(caller, item)
                first = False
                yield item

    async def _lasting(self, items: AsyncIterator[Reply]) -> AsyncIterator[Reply]:
        """A stream that ends when the vault is locked."""
        with self._calls.leases.on("") as lease:
            async with aclosing(cast("Stream", items)):
                while True:
                    with lease.waiting():
                        item = await anext(items, None)
                    if item is None:
                        return
                    yield item

    async def _stream(self, items: AsyncIterator[Reply], request: Request, caller: Caller) -> Stream:
        """The items, and any failure as the last of them."""
        begun = False
        try:
            async with aclosing(cast("Stream", items)):  # every stream of a service is an async generator
                async for item in items:
                    begun = True
                    yield item
        except AixtivError as error:
            # A call that was begun is in the audit log already, by the relay.
            relayed = type(request) is requests.Relay
            yield error.failure() if relayed else self._refused(request, caller, error, begun=begun)
        except Exception as error:  # noqa: BLE001  # as in `answer`
            yield defect(error)


def defect(error: Exception) -> Failure:
    """A mistake of ours: where it happened goes to the log. Never its text, which may quote anything."""
    kind = type(error).__name__
    log.error("defect", exception=kind, where=log.places(error))
    return Failure(code="internal", message=f"a defect in aixtiv ({kind}); the daemon's log says where")
