"""The world in which aixtiv is measured: a real daemon from the wheel, as a service manager starts it, somebody signed
in, and what stands opposite.
"""

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from aixtiv_protocol import codec, requests
from bench.measuring import BACK, pin
from peers.authority.process import Running
from peers.machine import Machine
from peers.person import visit

ACCOUNT: Final = "anthropic"
_UNIT: Final = Path(__file__).parents[2] / "systemd/aixtivd.service"


class Manager:
    """As much of systemd as the daemon sees: whom it tells that it is alive, twice in the unit's WatchdogSec."""

    def __init__(self, folder: Path) -> None:
        self.beats = 0
        path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        seconds = re.search(r"^WatchdogSec=(\d+)$", _UNIT.read_text(), re.MULTILINE)
        assert seconds, "the unit has a watchdog"
        self.environ: Final = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": f"{seconds[1]}000000"}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while heard := self._socket.recv(4096):
            self.beats += heard.count(b"WATCHDOG=1")

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


class World:
    """`machine` runs the wheel's commands; its daemon stands on the core of those who are asked."""

    def __init__(self, folder: Path, scripts: Path) -> None:
        self.folder: Final = folder
        self.manager: Final = Manager(folder)
        self.machine: Final = Machine(folder, scripts)
        self.machine.environ.update(self.manager.environ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.machine.__exit__(*error)
        self.manager.close()

    def started(self, core: int = BACK) -> Self:
        self.machine.start()
        pin(self.machine.pid, core)
        self.machine.ask(requests.Hello())  # answered when all of it is open
        return self

    def again(self) -> Self:
        """A daemon that has not signed anybody in."""
        self.machine.stop()
        return self.started()

    def sign_in(self, server: Running, account: str = ACCOUNT) -> None:
        settings = requests.ClientSettings(
            client_id="native",
            authorization_endpoint=f"{server.issuer}/authorize",
            token_endpoint=f"{server.issuer}/token",
        )
        self.machine.sign_in(visit, requests.Login(account=account, settings=settings))

    @property
    def gateway(self) -> str:
        return str(self.machine.socket.with_name("claude.sock"))

    def heard(self, request: bytes) -> bytes:
        """The bytes that come back for these, up to the half-close."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(self.machine.socket))
            peer.sendall(request)
            peer.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: peer.recv(65536), b""))


@contextmanager
def world(scripts: Path, config: str = "") -> Iterator[World]:
    """In a folder of its own, for the length of the block; no daemon runs yet."""
    with TemporaryDirectory(prefix="aix-", dir="/tmp") as folder:  # a socket's path must be short
        os.chmod(folder, 0o700)  # noqa: PTH101
        with World(Path(folder), scripts) as made:
            if config:
                made.machine.configure(config)
            yield made


def token_request(account: str = ACCOUNT) -> bytes:
    """As `aixtiv token` asks."""
    return codec.encode_request(requests.Token(account=account, form="bare"))
