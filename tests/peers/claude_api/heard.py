"""What came to Claude's API and what was said, byte by byte."""

import hashlib
from typing import Any, Final

KEPT: Final = 48 * 1024 * 1024  # bytes of a body that are kept; of what lies behind there is only the hash


class Heard:
    """One request as it arrived and as far as it came. `raw_headers` in order and as they were written."""

    def __init__(self, method: str, target: str, raw_headers: tuple[tuple[bytes, bytes], ...], port: int) -> None:
        self.method = method
        self.target = target  # path and query, nothing decoded
        self.raw_headers = raw_headers
        self.port = port  # the caller's: two requests with the same came over one connection
        self.body = b""
        self.size = 0  # bytes of body that arrived
        self.sha256 = ""  # of the whole body, once it is whole
        self.status = 0  # of the answer; 0: none was begun
        self.over = False  # the answer was said to its end
        self.gone = False  # the caller hung up before that
        self._hash = hashlib.sha256()
        self._body = bytearray()
        self._said = bytearray()

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names in lower case, in order."""
        return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.raw_headers]

    def header(self, name: str) -> str:
        """All values of that header, joined as RFC 9110 §5.3 has it; empty: none."""
        return ", ".join(value for said, value in self.headers if said == name.lower())

    @property
    def credential(self) -> str:
        """The token or key it came with."""
        return self.header("x-api-key") or self.header("authorization").partition(" ")[2]

    def feed(self, piece: bytes) -> None:
        self.size += len(piece)
        self._hash.update(piece)
        if len(self._body) < KEPT:
            self._body += piece

    def complete(self) -> None:
        self.sha256 = self._hash.hexdigest()
        self.body, self._body = bytes(self._body), bytearray()

    def tell(self, piece: bytes) -> None:
        """Notes a piece of the answer."""
        if len(self._said) < KEPT:
            self._said += piece

    @property
    def said(self) -> bytes:
        """The answer's body as far as it was sent, content-encoded as it was."""
        return bytes(self._said)

    def shown(self) -> dict[str, Any]:
        """For another process. Bodies only where they are short; the hash tells of the others."""
        names = ("method", "target", "port", "size", "sha256", "status", "over", "gone")
        return {name: getattr(self, name) for name in names} | {
            "headers": self.headers,
            "body": self.body[:65536].decode("latin-1"),
        }
