"""A person's machine with Claude's API opposite: daemon, authorization server and stand-in, and somebody signed in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from aixtiv_protocol import replies, requests
from peers.authority.process import Running, authorization_server
from peers.claude_api.process import RunningClaude, claude_process
from peers.machine import Machine
from peers.person import visit

ACCOUNT: Final = "anthropic"
KEY: Final = "sk-ant-api03-of-the-desk-0123456789"


class Desk(Struct, frozen=True):
    machine: Machine
    server: Running  # with Claude's quirks; its tokens are good at `claude`
    claude: RunningClaude

    def sign_in(self) -> replies.Account:
        """At the account `anthropic`, as Claude's own data have it but for the endpoints."""
        settings = requests.ClientSettings(
            client_id="native",
            authorization_endpoint=f"{self.server.issuer}/authorize",
            token_endpoint=f"{self.server.issuer}/token",
        )
        return self.machine.sign_in(visit, requests.Login(account=ACCOUNT, settings=settings))

    def renew(self) -> None:
        """Claude as it was at the start, for the next test."""
        self.claude.renew()
        self.claude.accept_prefix("at-")

    @property
    def gateway(self) -> str:
        """The gateway's Unix socket."""
        return str(self.machine.runtime / "aixtiv/claude.sock")


@contextmanager
def desk(folder: Path, *options: str, configured: str = "") -> Iterator[Desk]:
    """For the length of the block, the daemon running and nobody signed in yet.

    `options`: of the authorization server. `configured`: more of the daemon's config.
    """
    with (
        authorization_server("--claude", *options) as server,
        claude_process("--accept-prefix", "at-") as claude,
        Machine(folder) as machine,
    ):
        machine.configure(f'[api.anthropic]\norigin = "{claude.url}"\n{configured}')
        machine.start()
        machine.ask(requests.Hello())  # answered when the gateway is open, too
        yield Desk(machine, server, claude)


@contextmanager
def shared_desk(configured: str = "") -> Iterator[Desk]:
    """With somebody signed in, in a folder of its own: for a whole module of tests that leave it as it was."""
    with TemporaryDirectory(prefix="aix-", dir="/tmp") as folder, desk(Path(folder), configured=configured) as at:
        at.sign_in()
        yield at
