"""Where a round happens: the real daemon between a hostile authorization server and a hostile machine."""

import random
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL
from typing import Final, Literal

from msgspec import Struct

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from faults.attack import stores
from faults.attack.hostile import Hostile, now
from peers.authority.process import Running
from peers.authority.weather import Weather, hanging
from peers.disks import SmallDisk, small_disk
from peers.machine import Conversation, DaemonEnded, Machine
from peers.person import visit
from peers.waiting import until

NAMES: Final = ("ada", "bob", "cyd")  # accounts, and the subjects they are of
PASSPHRASE: Final = Secret("correct horse battery staple")
_MOST_FILES: Final = 1024
_LOCKS: Final = 3  # that may come, one after the other, while somebody asks for an unlock
_RESUMED: Final = 10.0  # seconds; it is the first thing that a daemon does
_HEADERS: Final = (
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "oauth-2025-04-20"),
    ("content-type", "application/json"),
)
_ASKED: Final = (
    b'{"model": "fail-silence", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "count"}]}'
)

Kind = Literal["punishes reuse", "is known to punish reuse", "refuses reuse", "allows a grace time", "does not rotate"]
KINDS: Final[dict[Kind, dict[str, float | bool]]] = {
    "punishes reuse": {},
    "is known to punish reuse": {},
    "refuses reuse": {"punish": False},
    "allows a grace time": {"grace": 600.0},
    "does not rotate": {"rotate": False},
}
FORGIVING: Final = frozenset[Kind]({"allows a grace time", "does not rotate"})  # where a lost answer loses nothing


class Setting(Struct, frozen=True, kw_only=True):
    """What an attack wants of its scene."""

    config: str = ""  # TOML
    key: Literal["auto", "file", "passphrase"] = "file"  # auto: no key store is near, so that it is a file at first
    disk: bool = False  # the store on a small disk of its own, which can really be full
    named: bool = False  # the server's address is a name that must be looked up
    claude: bool = False  # an API to relay to


class Death(Struct, frozen=True):
    """A daemon that was killed."""

    at: float  # hostile.now(); SIGKILL is sent after that
    ended: float  # it had surely ended by then, so that whatever it has read, it read before
    kept: frozenset[str]  # the refresh tokens that were on its disk
    pid: int = 0
    disk: stores.Kept = stores.Kept()


class Violation(Exception):
    """What must not be, in a sentence."""


class Scene:
    """One machine for some rounds. `chance` decides everything that is left to chance."""

    def __init__(
        self, folder: Path, server: Running, hostile: Hostile, setting: Setting, kind: Kind, chance: random.Random
    ) -> None:
        self.folder: Final = folder
        self.machine: Final = Machine(folder)
        self.server: Final = server
        self.hostile: Final = hostile
        self.setting: Final = setting
        self.kind: Final[Kind] = kind
        self.chance = chance
        self.disk: SmallDisk | None = None
        self.claude = ""  # the API's address
        self.deaths: Final[list[Death]] = []  # of this machine's daemons, one after the other
        self._dead: subprocess.Popen[bytes] | None = None  # the last of them
        self.told: dict[str, float] = {}  # account -> when its refresh was last answered with success; hostile.now()
        self.gone: set[str] = set()  # accounts that were signed out in this round
        self.leaving: set[str] = set()  # accounts whose logout began in this round, and may have been cut
        self.begun: dict[str, str] = {}  # account -> token, as the last one that was killed had it on record
        self.asks: Counter[str] = Counter()  # account -> how often its refresh was asked for in this round
        self.began = 0.0  # this round; hostile.now()
        self._judged = 0  # how many of the deaths were judged in a round before
        self.sealed: stores.Seals | None = None  # before this round
        self._noting = threading.Lock()
        self._timers: list[threading.Timer] = []
        self.machine.environ.update(hostile.environ)

    @property
    def state(self) -> Path:
        """The folder of the store."""
        return (self.disk.home / "aixtiv") if self.disk else self.machine.state

    @property
    def slot(self) -> Path:
        """The file that takes a pair where the store cannot."""
        return self.state / "spill"

    @property
    def passphrase(self) -> Secret | None:
        """What opens the vault now, if that is a passphrase."""
        return PASSPHRASE if self.status().key_source == "passphrase" else None

    @property
    def new_deaths(self) -> list[Death]:
        """Those of this round."""
        return self.deaths[self._judged :]

    def over(self) -> None:
        """This round is: what comes belongs to the next one."""
        self.asks.clear()
        self.began, self._judged = now(), len(self.deaths)
        self.sealed = stores.seals(self.state, self.folder)

    # ---- the daemon

    def configure(self, more: str = "") -> None:
        punishing = "punishes-reuse = true\n" if self.kind == "is known to punish reuse" else ""
        providers = "".join(f"[provider.{name}]\n{punishing}" for name in NAMES) if punishing else ""
        api = "".join(f'[api.{name}]\norigin = "{self.claude}"\n' for name in NAMES) if self.claude else ""
        self.machine.configure(f'{more}\n[vault]\nkey = "{self.setting.key}"\n{self.setting.config}\n{providers}{api}')

    def start(self, **environ: str) -> None:
        """A daemon that is open. Raises Violation where there comes none."""
        try:
            self.machine.start(**environ)
        except (DaemonEnded, AssertionError) as error:
            raise Violation(f"the daemon does not start: {error}") from None
        self.unlock()

    def unlock(self) -> None:
        reply: replies.Reply | Secret = replies.Done()
        for _ in range(_LOCKS):
            reply = self.machine.ask(requests.Unlock(passphrase=self.passphrase))
            if not (isinstance(reply, replies.Failure) and reply.code == "locked"):  # else a lock came in between
                break
        if not isinstance(reply, replies.Done):
            raise Violation(f"the vault does not open: {reply}")

    def status(self) -> replies.DaemonStatus:
        found = self.machine.ask(requests.Status())
        assert isinstance(found, replies.DaemonStatus), found
        return found

    @property
    def runs(self) -> bool:
        return self.machine.daemon is not None and self.machine.daemon.poll() is None

    def kill(self) -> None:
        """SIGKILL, now; however the daemon is, and if it still is."""
        when = now()
        if self.runs:
            self.machine.signal(SIGKILL)
        self.note_death(when)

    def note_death(self, when: float = 0.0) -> None:
        """Waits for a daemon that dies, by itself or at `when`."""
        with self._noting:
            if self.machine.daemon is not self._dead:
                code, ended = self.machine.ended(), now()
                self._dead = self.machine.daemon
                at = self.hostile.death() or when or now()
                killed = code == -SIGKILL  # whoever ended in order has no excuse
                power = killed and not self.disk and len(self.deaths) % 2 == 0  # a full disk has no room to undo in
                self.hostile.end(self.state, power=power)
                if killed:
                    disk = stores.readable(self.state, self.folder, PASSPHRASE)
                    late = {name for name in disk.unfinished if disk.begun.get(name) not in disk.aside}
                    self.begun = {name: token for name, token in disk.begun.items() if name in late}
                    self.deaths.append(Death(at, ended, disk.tokens, self.machine.pid, disk))

    def reload(self) -> None:
        """It reads its config again, if it lets us ask."""
        with self.asked(requests.Reload()) as talks:
            self.heard(talks)

    def wait_for_log(self, event: str, times: int) -> None:
        until(lambda: len(self.machine.logged(event)) >= times, f"the log says {event} {times} times")

    def locked(self) -> None:
        """Waits until the vault is."""
        until(lambda: self.status().locked, "the vault is locked")

    def restart(self, **environ: str) -> None:
        """An orderly end, and another daemon."""
        self.machine.stop()
        self.hostile.end(self.state)
        self.start(**environ)

    def mend(self) -> None:
        """Everything is in order again, and a daemon runs and is open."""
        for timer in self._timers:
            timer.join()
        self._timers.clear()
        self.hostile.calm()
        if self.disk:
            self.disk.make_room()
        self.server.calm()
        if self.runs:
            self.machine.signal(SIGCONT)
            self.files(_MOST_FILES)
            try:
                self.answering_or_dead()
                self.unlock()
            except (OSError, EOFError):  # it was dying by itself
                self.machine.ended()
        if not self.runs:
            self.note_death()
            self.hostile.forget()
            self.start()
            self._resumed()
        self.unlock()

    def _resumed(self) -> None:
        """What the dead daemon may have spent is tried once more, or put aside, before anybody asks."""
        begun, self.begun = self.begun, {}
        deadline = now() + _RESUMED
        while late := {name for name, token in begun.items() if not self._presented(token)}:
            states = {account.name: account.state for account in self.status().accounts}
            late -= {name for name in late if states.get(name) == "quarantined"}
            if not late:
                return
            if now() > deadline:
                raise Violation(f"a refresh of {', '.join(late)} was on record, and nobody went on with it")
            time.sleep(0.02)

    def _presented(self, token: str) -> bool:
        self.hostile.look()
        return any(one.token == token and one.pid == self.machine.pid for one in self.hostile.presented)

    def answering_or_dead(self) -> None:
        until(lambda: self.machine.answers() or not self.runs, "the daemon listens, or ends")

    def files(self, most: int) -> None:
        """How many descriptors the daemon may have, from now on."""
        resource.prlimit(self.machine.pid, resource.RLIMIT_NOFILE, (most, _MOST_FILES))

    # ---- what happens in a round

    def some(self) -> list[str]:
        """One account at least."""
        return self.chance.sample(NAMES, self.chance.randint(1, len(NAMES)))

    def sign_in(self, name: str) -> None:
        with self.machine.conversation() as talk:
            talk.say(self.login(name))
            started = talk.hear()
            assert isinstance(started, replies.SignInStarted), started
            visit(started.url, name)
            ended = talk.hear()
            assert isinstance(ended, replies.SignedIn), ended

    def login(self, name: str) -> requests.Login:
        return self.server.login(name)

    @contextmanager
    def asked(self, *asked: requests.Request, timeout: float = 30.0) -> Iterator[list[Conversation]]:
        """Each request on a connection of its own, under way while the block runs. A daemon that is dead hears none."""
        self.asks.update(request.account for request in asked if isinstance(request, requests.Refresh))
        with ExitStack() as stack:
            talks = []
            for request in asked:
                with suppress(OSError):
                    talk = stack.enter_context(self.machine.conversation(timeout))
                    talk.say(request)
                    talks.append(talk)
            yield talks

    @contextmanager
    def refreshing(self, *names: str) -> Iterator[list[Conversation]]:
        """New tokens are asked for, and under way while the block runs."""
        with self.asked(*(requests.Refresh(account=name) for name in names or self.some())) as talks:
            yield talks

    @contextmanager
    def answers_kept_back(self, *names: str) -> Iterator[None]:
        """The server has the refresh requests of these accounts, and keeps its answers back until `server.release`."""
        names = names or tuple(self.some())
        self.weather(*[hanging()] * len(names))
        with self.refreshing(*names):
            self.server.until(hanging=len(names))
            yield

    def heard(self, talks: list[Conversation]) -> None:
        """The next reply on each, if somebody is left to say it. An account is told when its tokens are in safety."""
        for talk in talks:
            with suppress(OSError, EOFError):
                reply = talk.hear()
                if isinstance(reply, replies.Account):
                    self.told[reply.name] = now()

    def refreshed(self, *names: str) -> None:
        """Asks for new tokens and waits until each has come, or failed, or the daemon is no more."""
        with self.refreshing(*names) as talks:
            self.heard(talks)

    def weather(self, *skies: Weather) -> None:
        """For the next refreshes, one each."""
        self.server.set_weather(*skies)

    @contextmanager
    def streams(self) -> Iterator[None]:
        """Some relayed calls are under way while the block runs, if there is an API: whatever then becomes of them."""
        calls = [
            requests.Relay(account=name, method="POST", path="/v1/messages", headers=_HEADERS, body=_ASKED)
            for name in self.some()
            if self.claude
        ]
        with self.asked(*calls) as talks:
            for talk in talks:
                head = talk.hear()
                assert isinstance(head, replies.Head), head
                assert head.status == 200, head
            yield

    def settle(self) -> None:
        """Time for what the server has said to arrive; nothing announces that to a process that stands still."""
        time.sleep(0.05)

    def moment(self, longest: float) -> None:
        """Some time passes, of a length that nobody chose."""
        time.sleep(self.chance.random() * longest)

    def in_a_moment(self, longest: float, act: Callable[[], object]) -> None:
        """That happens while the round goes on."""
        timer = threading.Timer(self.chance.random() * longest, act)
        self._timers.append(timer)
        timer.start()


@contextmanager
def scene(
    server: Running, library: Path, setting: Setting, kind: Kind, chance: random.Random, claude: str = ""
) -> Iterator[Scene]:
    """Signed in to all its accounts. Thrown away afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="aix-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        hostile = Hostile(library, folder)
        stack.callback(hostile.close)
        made = Scene(folder, server, hostile, setting, kind, chance)
        if setting.disk:
            made.disk = stack.enter_context(small_disk(folder))
            made.machine.environ["XDG_STATE_HOME"] = str(made.disk.home)
        stack.enter_context(made.machine)
        made.claude = claude
        server.renew()
        server.tell(**KINDS[kind])
        made.configure()
        made.start()
        for name in NAMES:
            made.sign_in(name)
        made.over()
        yield made
