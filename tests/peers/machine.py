"""A throw-away machine: one person's home, a real daemon process on it, and the commands that the person types."""

import json
import os
import select
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any, Final, Self

from msgspec import Struct

from aixtiv_protocol import codec, replies, requests
from aixtiv_protocol.secret import Secret

PATIENCE: Final = 30.0  # seconds for anything that should happen at once, on a machine that may be busy
SCRIPTS: Final = Path(sysconfig.get_path("scripts"))


class Ran(Struct, frozen=True):
    """What a command left behind."""

    out: str
    err: str
    code: int

    def json(self) -> Any:
        """Its stdout, read. The command must have succeeded."""
        assert self.code == 0, f"exit {self.code}: {self.err}"
        return json.loads(self.out)


class DaemonEnded(Exception):
    """The daemon ended before it could be asked anything."""


class Machine:
    """`folder` must be short (a socket path ends at 104 bytes) and 0700: the fixture of that name is. `scripts`: where
    the commands are that run on it.

    The environment of daemon and commands is made here and takes nothing from the tests' own but the PATH's tail.
    """

    def __init__(self, folder: Path, scripts: Path = SCRIPTS) -> None:
        self.scripts: Final = scripts
        self.home: Final = folder / "home"
        self.runtime: Final = folder / "run"
        for path in (self.home, self.runtime):
            path.mkdir(mode=0o700, exist_ok=True)
        self.environ: Final = {
            "HOME": str(self.home),
            "PATH": f"{scripts}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_STATE_HOME": str(self.home / ".local/state"),
            "XDG_DATA_HOME": str(self.home / ".local/share"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "AIXTIV_NO_START": "1",  # a test says itself when a daemon starts
        }
        self.config: Final = self.home / ".config/aixtiv/config.toml"
        self.state: Final = self.home / ".local/state/aixtiv"
        self.socket: Final = self.runtime / "aixtiv/aixtiv.sock"
        self.log_file: Final = folder / "daemon.log"
        self._opened: Final = folder / "opened"  # where the browser of this machine says what it was told to open
        self.daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.daemon and self.daemon.poll() is None:
            self.kill()

    def configure(self, toml: str) -> None:
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(toml, encoding="utf-8")

    def browser(self) -> str:
        """A command for $BROWSER that opens nothing: `opened` tells what it was asked for."""
        if not self._opened.exists():
            os.mkfifo(self._opened, 0o600)
        script = self._opened.with_suffix(".sh")
        script.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$1\" > {self._opened}\n")
        script.chmod(0o700)
        return f"{script} %s"

    def opened(self) -> str:
        """The URL that a command opens in the browser, as soon as it does."""
        with open(os.open(self._opened, os.O_RDWR)) as fifo:  # noqa: PTH123  # read-write, so that opening does not wait
            ready, _, _ = select.select([fifo], [], [], PATIENCE)
            assert ready, "no command opened a browser"
            return fifo.readline().strip()

    # ---- the daemon

    def start(self, *arguments: str, **environ: str) -> Self:
        """A daemon that can be connected to when this returns. Raises DaemonEnded with its log where it ends before."""
        self.spawn(*arguments, **environ)
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            assert self.daemon
            if self.daemon.poll() is not None:
                raise DaemonEnded(f"exit {self.daemon.returncode}: {self.log}")
            assert time.monotonic() < deadline, f"the daemon does not listen: {self.log}"
            time.sleep(0.01)  # nothing announces a Unix socket to a caller who has nothing but its path
        return self

    def spawn(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """A daemon that is starting; its log is added to `log_file`."""
        with self.log_file.open("ab") as log:
            self.daemon = subprocess.Popen(
                [self.scripts / "aixtivd", *arguments],
                env=self.environ | environ,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.daemon

    def answers(self) -> bool:
        """Whether somebody accepts connections at the socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    @property
    def pid(self) -> int:
        assert self.daemon, "no daemon was started"
        return self.daemon.pid

    def signal(self, which: Signals) -> None:
        assert self.daemon, "no daemon was started"
        self.daemon.send_signal(which)

    def stop(self) -> int:
        """Asks the daemon to end, as a service manager does; its exit status."""
        return self._end(SIGTERM)

    def kill(self) -> int:
        """`kill -9`; minus nine, unless the daemon had ended before."""
        return self._end(SIGKILL)

    def ended(self) -> int:
        """Waits for a daemon that ends by itself (AIXTIVD_FAULT, a full disk); its exit status."""
        assert self.daemon, "no daemon was started"
        return self.daemon.wait(PATIENCE)

    def _end(self, how: Signals) -> int:
        self.signal(how)
        return self.ended()

    @property
    def log(self) -> str:
        """All that the daemons of this machine wrote."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log with that event."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    # ---- the command

    def run(self, *arguments: str, stdin: str = "", **environ: str) -> Ran:
        """`aixtiv ARGUMENTS`, to its end."""
        ran = subprocess.run(
            [self.scripts / "aixtiv", *arguments],
            env=self.environ | environ,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ran(ran.stdout, ran.stderr, ran.returncode)

    @contextmanager
    def running(self, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
        """`aixtiv ARGUMENTS` while the block runs: its streams are pipes, and what is left of it then is killed."""
        with subprocess.Popen(
            [self.scripts / "aixtiv", *arguments],
            env=self.environ | environ,
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    # ---- the socket itself, for what no command asks

    @contextmanager
    def conversation(self, timeout: float = PATIENCE) -> Iterator["Conversation"]:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(timeout)
            peer.connect(str(self.socket))
            yield Conversation(peer)

    def ask(self, request: requests.Request) -> replies.Reply | Secret:
        """One request, one reply, a Failure as it is."""
        with self.conversation() as talk:
            talk.say(request)
            return talk.hear()

    def sign_in(self, person: Callable[[str], object], request: requests.Login) -> replies.Account:
        """A whole sign-in: `person` takes the URL to the provider's pages, and returns when the last page is there."""
        with self.conversation() as talk:
            talk.say(request)
            started = talk.hear()
            assert isinstance(started, replies.SignInStarted), started
            person(started.url)
            ended = talk.hear()
            assert isinstance(ended, replies.SignedIn), ended
            return ended.account

    def token(self, account: str = "", **asked: Any) -> replies.AccessToken:
        """The token of an account. The daemon must have one."""
        reply = self.ask(requests.Token(account=account, **asked))
        assert isinstance(reply, replies.AccessToken), reply
        return reply

    def account(self, name: str) -> replies.Account:
        """What the daemon says of that account. There must be one."""
        reply = self.ask(requests.Accounts())
        assert isinstance(reply, replies.AccountList), reply
        found = [account for account in reply.accounts if account.name == name]
        assert found, f"there is no account {name}"
        return found[0]


class Conversation:
    """Frames, both ways, on one connection: the wire as protocol/README.md has it, without the client library."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._inbox = codec.Inbox()
        self._bodies: list[bytes] = []

    def say(self, request: requests.Request) -> None:
        self._peer.sendall(codec.encode_request(request))

    def hear(self) -> replies.Reply | Secret:
        """The next reply. Raises EOFError where the daemon has hung up."""
        while not self._bodies:
            if not (data := self._peer.recv(65536)):
                raise EOFError("the daemon hung up")
            self._inbox.feed(data)
            self._bodies += self._inbox.bodies()
        return codec.decode_reply(self._bodies.pop(0))

    def hear_until(self, event: str, account: str = "") -> replies.Event:
        """Of a `watch`: the next such event, whatever comes before."""
        while True:
            heard = self.hear()
            if isinstance(heard, replies.Event) and heard.event == event and account in ("", heard.account):
                return heard
            assert isinstance(heard, replies.Event), heard
