"""Read this first: builds every part of the daemon, starts all in one task group, says when ready, stops in order.

Exit status: 0 after an orderly stop, 1 if it cannot start or go on (the sentence is on stderr and in the log), 64 for
a wrong option, 71 (EX_OSERR) if it was to become another one and could not: then a service manager starts that.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup, TaskStatus

from aixtiv_protocol import PROTOCOL, VERSION, replies, requests
from aixtivd import later, log
from aixtivd.access.audit import Audit
from aixtivd.access.rules import Rules
from aixtivd.access.tickets import Tickets
from aixtivd.accounts.page import page, room_beside
from aixtivd.accounts.service import Accounts
from aixtivd.clock import Clock, SystemClock
from aixtivd.config import Config
from aixtivd.config.options import Options, options, read_config
from aixtivd.errors import AixtivError, Busy
from aixtivd.gateway import gateway
from aixtivd.gateway.gateway import Gateway
from aixtivd.host import activation, signals, succession
from aixtivd.host.activation import Handed, handed_over
from aixtivd.host.address import Address, claim, taken_over
from aixtivd.host.farewell import give_up, unhandled
from aixtivd.host.hardening import harden
from aixtivd.host.succession import Left, Successor, Will
from aixtivd.host.systemd import Notifier
from aixtivd.ipc.dispatch import OPS, Dispatch, defect
from aixtivd.ipc.limits import Limits
from aixtivd.ipc.listener import Listener
from aixtivd.ipc.quiet import Quiet, startable
from aixtivd.oauth.endpoint import Endpoint
from aixtivd.oauth.web import Web
from aixtivd.paths import Paths, paths
from aixtivd.relay.relay import Relay
from aixtivd.vault import trial
from aixtivd.vault.vault import Vault

LAST_LOOK: Final = 0.1  # seconds, for what may be on its way within this machine
LAST_WORDS: Final = 3.0  # seconds for what is open when nobody is let in any more: who calls now waits so long
LONGEST_STOP: Final = 40.0  # seconds; the units wait a little longer before they kill

_SIGNAL: Final = "a signal asked for it"
_SIGNALLED: Final = f"{_SIGNAL}, so it was locked"


class App:
    """Every part, and the order in which they start and stop. It is also what the socket's requests control."""

    def __init__(self, where: Paths, options: Options, config: Config, clock: Clock) -> None:
        self._where = where
        self._options = options
        self._config = config
        self._began = config.vault
        self._clock = clock
        self._started_at = clock.wall()
        self._vault = Vault(where.state, config.vault, clock)
        self._web = Web(config.network)
        self._endpoint = Endpoint(self._web, clock, config.refresh.timeout)
        self._rules = Rules(config)
        self._audit = Audit(where.state, self._vault, clock, config.audit)
        self._tickets = Tickets(self._vault, self._audit, clock)
        self._accounts = Accounts(self._vault, self._endpoint, self._web, self._audit, config, clock, self._tickets)
        self._notices = self._accounts.notices(config)
        self._relay = Relay(self._accounts, self._audit, config, self._rules)
        self._gateway = Gateway(self._relay, self._tickets, self._audit, config)
        self._notifier = Notifier(os.environ, os.getpid())
        self._address: Address | None = None
        self._dispatch: Dispatch | None = None
        self._quiet: Quiet | None = None
        self._ready = anyio.Event()
        self._stopping = anyio.Event()
        self._heir: tuple[str, ...] = ()  # the command that this daemon becomes when it has stopped
        self._called = sys.argv[0]
        self._lock_signals = 0  # whose lock has not come to its end
        self._lingering = anyio.CancelScope()  # before a restart
        self._patience = anyio.CancelScope()  # of an orderly stop

    async def run(self) -> Successor | None:
        """Returns after an orderly stop, with what is to take this one's place, if anything is.

        Raises AixtivError (in a group) where it cannot start.
        """
        asyncio.get_running_loop().set_exception_handler(unhandled)
        successor = None
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(self._heed_signals, tasks)
                listener = await self._start(tasks)
                await self._stopping.wait()
                await self._wind_down(listener)
                successor = await self._bequeathed() if self._heir else None
                tasks.cancel_scope.cancel()
            locked = self._vault.lock_reason if self._vault.locked else _SIGNALLED if self._lock_signals else ""
            successor = succession.left_locked(successor, locked)
        finally:  # after every task has ended: none may find the vault closed with a new token in its hands
            with anyio.CancelScope(shield=True):
                await self._close(leaving=successor is not None)
        log.info("stopped")
        return successor

    async def _start(self, tasks: TaskGroup) -> Listener:
        """First what callers need, then the socket, then the word that it is ready."""
        handed = handed_over(os.environ, os.getpid())
        self._called = handed.will.called or self._called
        await self._open_vault(handed.will)
        await tasks.start(self._audit.run)
        await tasks.start(self._tickets.run)
        await self._tickets.inherit(handed.will.tickets)
        await tasks.start(self._accounts.run)
        if not self._vault.locked:
            await self._accounts.start()
            await self._tickets.start()
        self._address = address = await anyio.to_thread.run_sync(self._found, handed)
        self._where = msgspec.structs.replace(self._where, socket=address.path)
        await tasks.start(self._notices.run)
        parts = (self._accounts, self._relay, self._gateway, self._tickets, self._audit, self._rules, self._vault)
        dispatch = Dispatch(*parts, self, self._clock)
        dispatch.configure(self._config)
        self._dispatch = dispatch
        await tasks.start(dispatch.opening.run)
        if self._lock_signals:  # before anybody is answered: they wait at the sockets already
            await dispatch.opening.lock_by_itself(_SIGNAL)
        await tasks.start(self._gateway.run, address.path.with_name(gateway.SOCKET), handed)
        listener = Listener(address.socket, dispatch, tasks, Limits())
        tasks.start_soon(listener.run)
        await tasks.start(self._watch_for_quiet(listener, address).run)
        if self._notifier.watchdog:
            tasks.start_soon(self._notifier.feed)
        self._ready.set()
        self._notifier.ready("locked" if self._vault.locked else "serving")
        later.begun()
        tasks.start_soon(later.settle)
        log.info("ready", version=VERSION, socket=str(address.path), activated=handed.any)
        return listener

    def _watch_for_quiet(self, listener: Listener, address: Address) -> Quiet:
        parts = (listener, self._gateway, self._accounts, self._tickets, self._vault, self._clock)
        self._quiet = quiet = Quiet(*parts, startable(address, os.environ), self.stop)
        quiet.configure(self._config)
        return quiet

    async def _open_vault(self, will: Will) -> None:
        """What somebody locked is not opened by a restart."""
        await self._vault.open()
        if will.locked and not self._vault.locked:
            await self._vault.lock(will.locked)

    def _found(self, handed: Handed) -> Address:
        if handed.main is None:
            return claim(self._where.socket)
        return taken_over(handed.main, handed.will.inodes.get(activation.NAME))

    async def _wind_down(self, listener: Listener) -> None:
        """Nobody new; open refreshes finish and are sealed, callers get their answers: but not for ever.

        Before a restart, callers are let in and answered while what is open finishes; then they wait at the sockets.
        """
        seconds, began = patience(self._config), anyio.current_time()
        await self._linger(began + seconds)
        if not (restarting := bool(self._heir)):
            self._accounts.tell("stopping")
            self._notifier.stopping(seconds)
            await self._shut(listener)
        self._patience.deadline = anyio.current_time() + seconds
        with self._patience:
            try:
                await self._accounts.drain()
            except Exception as error:  # noqa: BLE001  # the vault is closed in order whatever else is broken
                defect(error)
            await self._linger(began + seconds)  # of calls that began meanwhile
            await self._shut(listener)
            if restarting:
                self._patience.deadline = anyio.current_time() + (LAST_WORDS if self._heir else seconds)
                await anyio.sleep(LAST_LOOK)  # whoever was let in last has said by then what it wants
            self._accounts.dismiss()
            await self._gateway.finish()
            listener.finish()  # not before: a sign-in that succeeded meanwhile is told to who waits for it
            await listener.empty()
        if self._patience.cancelled_caught:
            log.warning("stopped-early")
            await self._shut(listener)
            await anyio.sleep(LAST_LOOK)  # an answer that is here already is read; once read, it is sealed
            await self._relay.cut(Busy("the daemon had to end before this answer did"))
        if self._dispatch is not None:
            self._dispatch.close()
        await self._relay.aclose()
        await self._web.aclose()  # ends what is still under way: a refresh is shielded from everything else

    async def _linger(self, until: float) -> None:
        """Before a restart, relayed calls end, and all goes on as ever meanwhile; unless it is to end altogether."""
        if self._heir:
            with anyio.CancelScope(deadline=until) as self._lingering:
                await self._relay.over()

    async def _shut(self, listener: Listener) -> None:
        """Nobody comes in any more: whoever knocks is turned away, or waits for the next daemon."""
        listener.close()
        if self._heir:
            await self._gateway.leave()
        else:
            await self._gateway.close()
            await self._give_up_address()

    async def _bequeathed(self) -> Successor | None:
        assert self._address is not None  # it was served until now
        sockets, will = await self._gateway.leave()
        inode = self._address.inode
        will = msgspec.structs.replace(
            will,
            inodes=will.inodes | ({activation.NAME: inode} if inode else {}),
            tickets=self._tickets.left(),
            called=self._called,
        )
        main = Left(activation.NAME, self._address.socket)
        heir = self._heir  # it may have been asked to end meanwhile
        return Successor(heir, (main, *sockets), will, self._notifier.words) if heir else None

    async def _close(self, *, leaving: bool) -> None:
        if not leaving:
            await self._accounts.publishing.withdraw()
            await self._gateway.close()
            await self._give_up_address()
        await self._audit.flush()  # what tasks noted while they ended
        await self._vault.aclose()
        await self._web.aclose()

    async def _give_up_address(self) -> None:
        address, self._address = self._address, None
        if address is not None:
            await anyio.to_thread.run_sync(address.give_up)

    async def _heed_signals(self, tasks: TaskGroup, *, task_status: TaskStatus[None]) -> None:
        with signals.heeded() as heard:
            task_status.started()
            async for which in heard:
                if which == signal.SIGHUP:
                    await self._reload_and_log()
                elif which == signal.SIGUSR1:
                    self._lock_signals += 1
                    tasks.start_soon(self._lock_by_signal)  # it may wait for a refresh
                elif self._stopping.is_set() and not self._heir:
                    self._patience.cancel()  # asked twice: no more waiting
                else:
                    self.stop()

    async def _lock_by_signal(self) -> None:
        """One that comes before there is anything to lock is not forgotten."""
        await self._ready.wait()
        if self._dispatch is not None:
            await self._dispatch.opening.lock_by_itself(_SIGNAL)
        self._lock_signals -= 1

    async def _reload_and_log(self) -> None:
        try:
            await self.reload()
        except AixtivError as error:
            log.error("config-refused", reason=error.sentence)
        except Exception as error:  # noqa: BLE001  # a defect here must not end the daemon
            defect(error)

    # What can be asked about the daemon itself (ipc.dispatch.Control)

    @property
    def restart(self) -> str:
        return "aixtiv service restart"

    def hello(self, asked: requests.Hello) -> replies.Welcome:  # noqa: ARG002  # part of the conversation, not of the answer
        return replies.Welcome(version=VERSION, protocol=PROTOCOL, ops=OPS, locked=self._vault.locked)

    def status(self) -> replies.DaemonStatus:
        vault = self._vault
        status = replies.DaemonStatus(
            version=VERSION,
            pid=os.getpid(),
            manager=activation.manager(os.environ, os.getpid()),
            started_at=int(self._started_at),
            locked=vault.locked,
            lock_reason=vault.lock_reason,
            new_store=vault.new,
            key_source=vault.key_source,
            key_reason=vault.key_reason,
            store=str(vault.path),
            config=str(self._where.config),
            socket=str(self._where.socket),
            gateway=str(self._gateway.path or ""),
            gateway_port=self._gateway.port,
            gateway_problem=self._gateway.problem,
            damaged=vault.damaged,
            spilled=vault.spilled,
            audit_problem=self._audit.announced,
            skews=dict(self._web.skews),
            notice_problem=self._notices.problem,
            publish_problem=self._accounts.publishing.problem,
        )
        shown = page(self._accounts.states(), room_beside(status))
        return msgspec.structs.replace(status, accounts=shown.accounts, more=shown.more)

    async def reload(self) -> str:
        config = await anyio.to_thread.run_sync(read_config, self._where.config, self._options)
        self._config = config
        self._endpoint.timeout = config.refresh.timeout
        self._web.configure(config.network)
        self._audit.reconfigure(config.audit)
        self._accounts.reconfigure(config)
        self._notices.reconfigure(config)
        self._relay.reconfigure(config)
        self._rules.reconfigure(config)
        await self._gateway.reconfigure(config)
        if self._dispatch is not None:
            self._dispatch.configure(config)
        if self._quiet is not None:
            self._quiet.configure(config)
        log.to_stderr(self._options.level or config.log)
        log.info("reloaded")
        source = self._vault.key_source
        later = "; vault.key-file counts at the next start" if config.vault.key_file != self._began.key_file else ""
        if config.vault.key in {"auto", source} or self._vault.new:
            return f"reloaded{later}"
        return (
            f"reloaded; but this vault's key comes from the {source} source: it stays locked at the next start{later}"
        )

    async def restart_now(self) -> str:
        """Raises Busy, NotReplaced, BadConfig: then everything is as it was."""
        command = succession.successor(self._called, self._options.words)
        version = await succession.tried(command)
        if self._stopping.is_set():
            raise Busy(f"the daemon is {'restarting' if self._heir else 'ending'} already")
        self._heir = command
        self._notifier.status("restarting")
        self._accounts.tell("restarting")
        self._stopping.set()
        person = self._vault.locked or self._vault.key_source == "passphrase"
        return succession.promise(version, self._relay.open, patience(self._config), person=person)

    def stop(self) -> None:
        """Where it was about to become another one, it ends all the same."""
        self._heir = ()
        self._lingering.cancel()
        self._stopping.set()


def patience(config: Config) -> float:
    """Seconds that an orderly stop may take: those of one token request, since cutting one could lose a token."""
    return min(config.refresh.timeout + 2, LONGEST_STOP)


def main() -> NoReturn:
    """The command `aixtivd`."""
    sys.exit(run(sys.argv[1:], _loop_factory()))


def run(arguments: Sequence[str], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None) -> int:
    """The daemon's whole life, in this thread; its exit status. Does not return where it becomes another one."""
    asked = options(arguments)
    log.to_stderr(asked.level or "info")
    try:
        harden()
        where = paths()
        if asked.config is not None:
            where = msgspec.structs.replace(where, config=asked.config.absolute())
        if asked.trial:
            return trial.of(where, asked)
        config = read_config(where.config, asked)
        log.to_stderr(asked.level or config.log)
        signals.keep()
        # Not asyncio.Runner: callbacks of the loop start tasks in the group, and anyio has to know its loop there, too.
        heir = anyio.run(_serve, where, asked, config, backend_options={"loop_factory": loop_factory})
        if heir is not None:
            succession.become(heir, os.environ)
    except Exception as group:  # noqa: BLE001  # a traceback on stderr would show texts, which may quote anything
        return give_up(group)
    return 0


async def _serve(where: Paths, options: Options, config: Config) -> Successor | None:
    return await App(where, options, config, SystemClock()).run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; None: asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415  # optional: there is no wheel for every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
