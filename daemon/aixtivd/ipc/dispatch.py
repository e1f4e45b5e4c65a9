"""Which request goes to which method: one exhaustive match, and the one place where a failure becomes a Failure."""

import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Protocol, assert_never, cast, get_args

from aixtiv_protocol import VERSION
from aixtiv_protocol.codec import ProtocolError
from aixtiv_protocol.replies import DaemonStatus, Done, Failure, Reply, Welcome
from aixtiv_protocol.requests import (
    Accounts as AskAccounts,
)
from aixtiv_protocol.requests import (
    ApiKey,
    Callback,
    Examine,
    Hello,
    Lock,
    Login,
    Logout,
    Piece,
    Refresh,
    Reload,
    Request,
    RevokeTicket,
    Status,
    Stop,
    Token,
    Unlock,
    Usage,
    Verify,
    Watch,
)
from aixtiv_protocol.requests import (
    Audit as AskAudit,
)
from aixtiv_protocol.requests import (
    Relay as AskRelay,
)
from aixtiv_protocol.requests import (
    Ticket as AskTicket,
)
from aixtiv_protocol.requests import (
    Tickets as AskTickets,
)
from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.access.audit import Audit
from aixtivd.access.tickets import Tickets
from aixtivd.accounts.service import Accounts
from aixtivd.errors import AixtivError
from aixtivd.relay.gateway import Gateway
from aixtivd.relay.relay import Relay

Stream = AsyncGenerator[Reply, None]
"""Any number of items; a Failure is always the last. The session adds the End."""

Answer = Reply | Secret | Stream
"""A Secret is the answer to `form: "bare"`."""

OPS: tuple[str, ...] = tuple(sorted(str(kind.__struct_config__.tag) for kind in get_args(Request)))
"""Every request this daemon knows, by the name it has on the wire."""


class Control(Protocol):
    """What can be asked about the daemon itself."""

    @property
    def restart(self) -> str:
        """The command that restarts this daemon."""

    def hello(self, asked: Hello) -> Welcome: ...

    def status(self) -> DaemonStatus: ...

    async def reload(self) -> str:
        """What was done, a sentence. Raises BadConfig; then nothing has changed."""

    def stop(self) -> None:
        """Begins to stop, and returns."""


class Dispatch:
    def __init__(
        self, accounts: Accounts, relay: Relay, gateway: Gateway, tickets: Tickets, audit: Audit, control: Control
    ) -> None:
        self._accounts = accounts
        self._relay = relay
        self._gateway = gateway
        self._tickets = tickets
        self._audit = audit
        self._control = control

    def at_once(self, request: Request) -> Reply | Secret | None:
        """The hot path (D4): a token that is in memory, without a task. None: `answer` has to be asked."""
        if type(request) is not Token:
            return None
        try:
            token = self._accounts.cached(request)
        except AixtivError as error:
            return error.failure()
        except Exception as error:  # noqa: BLE001  # a defect must not end the caller's connection
            return defect(error)
        if token is None:
            return None
        return token.access_token if request.form == "bare" else token

    async def answer(self, request: Request) -> Answer:
        """Every other way to an answer. Never raises but when it is cancelled."""
        try:
            return await self._ask(request)
        except AixtivError as error:
            return error.failure()
        except Exception as error:  # noqa: BLE001  # a defect is one caller's Failure, not the daemon's end
            return defect(error)

    def misunderstood(self, error: ProtocolError) -> Failure:
        """For a request of a newer command, how to get a newer daemon."""
        newer = str(error).startswith("this daemon does not know")
        sentence = str(error).replace("this daemon", f"aixtivd {VERSION}", 1)
        return Failure(code=error.code, message=sentence, hint=self._control.restart if newer else "")

    async def _ask(self, request: Request) -> Answer:  # noqa: C901, PLR0911, PLR0912  # one case a request: a table
        accounts, control = self._accounts, self._control
        match request:
            case Token():
                token = await accounts.token(request)
                return token.access_token if request.form == "bare" else token
            case Hello():
                return control.hello(request)
            case AskAccounts():
                return accounts.accounts()
            case Status():
                return control.status()
            case Login():
                return _stream(accounts.login(request))
            case Callback():
                return await accounts.callback(request)
            case Refresh():
                return await accounts.refresh(request)
            case Logout():
                return await accounts.logout(request)
            case Verify():
                return await accounts.verify(request)
            case ApiKey():
                return await accounts.api_key(request)
            case Watch():
                return _stream(accounts.watch())
            case Lock():
                await accounts.lock()
                return Done(note="locked")
            case Unlock():
                await accounts.unlock(request)
                return Done(note="unlocked")
            case Reload():
                return Done(note=await control.reload())
            case Stop():
                control.stop()
                return Done(note="stopping")
            case AskRelay() | Piece() | AskTicket() | AskTickets() | RevokeTicket() | AskAudit() | Usage() | Examine():
                raise NotImplementedError
            case _:
                assert_never(request)


async def _stream(items: AsyncIterator[Reply]) -> Stream:
    """The items, and any failure as the last of them."""
    try:
        async with aclosing(cast("Stream", items)):  # every stream of the service is an async generator
            async for item in items:
                yield item
    except AixtivError as error:
        yield error.failure()
    except Exception as error:  # noqa: BLE001  # as in `answer`
        yield defect(error)


def defect(error: Exception) -> Failure:
    """A mistake of ours: where it happened goes to the log. Never its text, which may quote anything."""
    kind = type(error).__name__
    log.error("defect", exception=kind, where=places(error))
    return Failure(code="internal", message=f"a defect in aixtiv ({kind}); the daemon's log says where")


def places(error: BaseException) -> str:
    """The traceback as `file:line` only, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    return " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
