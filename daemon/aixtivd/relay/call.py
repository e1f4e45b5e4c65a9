"""One API call as the relay sees it, whichever way it came, and the answer that goes back."""

from collections.abc import AsyncIterator
from typing import Final, Literal, Protocol

from msgspec import Struct

from aixtiv_protocol.replies import Kind
from aixtiv_protocol.requests import Headers
from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import Caller

AGENT: Final = "x-agent-id"
"""The header, in lower case, in which a caller says which agent it is, and the API is told."""


class Body(Protocol):
    """A caller's body, in the pieces in which it comes. Read once, and not read on faster than it is sent on."""

    @property
    def length(self) -> int | None:
        """Bytes, where the caller said how many; None: it did not. 0: there is none."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Call(Struct, frozen=True, kw_only=True):
    method: str
    path: str  # with its query, byte for byte as the caller wrote it
    headers: Headers  # the caller's, all of them
    body: Body
    caller: Caller
    account: str = ""  # empty: as the config's [claude] says
    api_key: Secret | None = None  # the caller's own, for this call only
    endpoint: str = ""  # where the caller expects the API
    fallback: Literal["", "api-key", "none"] = ""
    wait: float = 30.0  # seconds for a credential

    def __repr__(self) -> str:
        return f"Call({self.method}, {len(self.headers)} headers)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("method", self.method), ("headers", len(self.headers))]


class Answer(Struct, frozen=True, kw_only=True):
    """The upstream's, as it came. `pieces` is read once; leaving the call ends the upstream's sending."""

    status: int
    reason: str
    headers: Headers  # to be handed on: hop-by-hop ones are gone, the rest is as it was
    pieces: AsyncIterator[bytes]
    account: str
    kind: Kind  # of the credential that paid
    note: str = ""  # why it was not the first choice, a sentence
    own: bool = False  # it came with the call

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.headers)} headers, account={self.account!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("status", self.status), ("headers", len(self.headers)), ("account", self.account)]
