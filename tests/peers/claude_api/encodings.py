"""Content codings that can be flushed after each piece: gzip, and br and zstd without a library, as stored blocks.

A brotli or zstd stream may hold its content uncompressed (RFC 7932 §9.2, RFC 8878 §3.1.1.2): every decoder takes it.
"""

import zlib
from typing import Final, Protocol

CODINGS: Final = ("gzip", "br", "zstd")
_WINDOW: Final = 0xFFFF  # bytes of a block at most: below 64 KiB everywhere


class Coding(Protocol):
    def piece(self, content: bytes) -> bytes:
        """Bytes from which the other side can read all of `content` at once."""

    def end(self) -> bytes: ...


class Identity:
    def piece(self, content: bytes) -> bytes:
        return content

    def end(self) -> bytes:
        return b""


class Gzip:
    def __init__(self) -> None:
        self._made = zlib.compressobj(wbits=31)

    def piece(self, content: bytes) -> bytes:
        return self._made.compress(content) + self._made.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._made.flush()


class Brotli:
    """Uncompressed meta-blocks: ISLAST 0, MNIBBLES 4, MLEN-1 in 16 bits, ISUNCOMPRESSED 1, to the byte's end."""

    def __init__(self) -> None:
        self._begun = False

    def piece(self, content: bytes) -> bytes:
        return b"".join(self._block(content[at : at + _WINDOW]) for at in range(0, len(content), _WINDOW))

    def _block(self, content: bytes) -> bytes:
        bits = (len(content) - 1) << 3 | 1 << 19
        if not self._begun:
            self._begun = True
            bits <<= 1  # WBITS 16 is a single 0 bit in front
        return bits.to_bytes(3, "little") + content

    def end(self) -> bytes:
        return b"\x03" if self._begun else b"\x06"  # ISLAST, ISLASTEMPTY


class Zstd:
    """Raw blocks behind the smallest frame header: no checksum, no content size, a window of 128 KiB."""

    def __init__(self) -> None:
        self._head = b"\x28\xb5\x2f\xfd\x00\x38"

    def piece(self, content: bytes) -> bytes:
        blocks = (content[at : at + _WINDOW] for at in range(0, len(content), _WINDOW))
        return self._taken() + b"".join((len(block) << 3).to_bytes(3, "little") + block for block in blocks)

    def end(self) -> bytes:
        return self._taken() + b"\x01\x00\x00"

    def _taken(self) -> bytes:
        head, self._head = self._head, b""
        return head


def coding(name: str) -> Coding:
    """`name`: one of CODINGS, or anything else for none."""
    match name:
        case "gzip":
            return Gzip()
        case "br":
            return Brotli()
        case "zstd":
            return Zstd()
        case _:
            return Identity()
