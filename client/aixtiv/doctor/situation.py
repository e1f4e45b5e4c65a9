"""All that a check may look at: the shell, the paths, and what the daemon and the API answer when they are asked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from aixtiv.claude import VERSION
from aixtiv.failures import AixtivError
from aixtiv_protocol import replies
from aixtiv_protocol.requests import Headers


class Question(Struct, frozen=True):
    """One call of an API, as a check asks it. It costs nothing: no check asks for a message."""

    path: str
    method: str = "GET"
    headers: Headers = ()
    body: bytes = b""
    endpoint: str = ""  # origin, where that is not the account's own

    def __repr__(self) -> str:
        return f"Question({self.path}, {len(self.headers)} headers)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("path", self.path), ("headers", len(self.headers))]


MODELS: Final = Question("/v1/models?limit=1", headers=(("anthropic-version", VERSION),))
"""The cheapest call of Claude's API that needs a credential."""


class Answered(Struct, frozen=True):
    """What came back; `status` 0: nothing did, and `message` says why."""

    status: int = 0
    kind: str = ""  # the error's type, as Claude names it
    message: str = ""
    hint: str = ""  # with a failure of aixtiv's own
    account: str = ""
    paid: str = ""  # the kind of the credential that paid
    note: str = ""  # why it was not the first choice
    code: str = ""  # with a failure of aixtiv's own


class Situation(Struct, frozen=True):
    environ: Mapping[str, str]
    home: Path
    here: Path  # the working directory
    platform: str  # sys.platform
    command: Path  # this very `aixtiv`
    socket: str
    state: Path  # the folder of the store
    config: Path  # the file, there or not
    tables: Mapping[str, Any]  # what it says; empty where it cannot be read
    relay: Callable[[Question], Answered]  # through the daemon, with a credential of its own
    bare: Callable[[str, Question], Answered]  # straight to an origin, without any credential
    account: str = ""  # the one to look at; empty: all
    welcome: replies.Welcome | None = None  # None: the daemon cannot be asked
    trouble: AixtivError | None = None  # why it cannot
    status: replies.DaemonStatus | None = None
    examined: tuple[replies.Finding, ...] = ()  # what the daemon found out itself
    unexamined: AixtivError | None = None  # why it could not
    audited: replies.AuditVerdict | None = None  # on the audit log
    unaudited: AixtivError | None = None  # why it could not be verified

    @property
    def proxy(self) -> str:
        """`[network] proxy` of the config."""
        network = self.tables.get("network")
        return str(network.get("proxy", "")) if isinstance(network, dict) else ""

    @property
    def accounts(self) -> tuple[replies.Account, ...]:
        return self.status.accounts if self.status else ()
