"""The audit log's lines, as somebody left them in its file."""

import asyncio
import shutil
from functools import cache
from pathlib import Path
from typing import Final, cast

import msgspec

from aixtiv_protocol.replies import AuditRecord
from aixtivd.access import chain
from aixtivd.access.caller import DAEMON
from aixtivd.access.chain import Head, Tip
from aixtivd.access.logbook import Logbook
from aixtivd.access.logfile import LogFile
from aixtivd.errors import Locked
from aixtivd.vault.vault import Vault
from fuzz.memory import place
from fuzz.target import Target
from peers.clock import FakeClock

_KEY: Final = bytes(range(32))


def log(data: bytes) -> None:
    """Only lines that were written under the key count as sealed, and only in their order from the beginning."""
    lines = data.splitlines(keepends=True)
    found = chain.follow(iter(lines), Tip(), _KEY)
    assert found.sealed + found.plain == found.tip.number
    sealed = [line for line in lines[: found.tip.number] if chain.is_sealed(line)]
    assert set(sealed) <= _genuine()
    assert bool(found.problem) == (found.tip.number < len(lines))
    for line in lines:
        chain.record(line)
        chain.last(line)


def file(data: bytes) -> None:
    """Read from either end, whatever it holds."""
    log = LogFile(place() / "audit.log")
    log.path.write_bytes(data)
    log.cut_torn()
    size = log.size()
    assert b"".join(log.lines(0, size)) == log.path.read_bytes()
    start, missing = log.start_of_last(2, b"record", size)
    assert 0 <= start <= size
    assert 0 <= missing <= 2
    log.last_line()


def start(data: bytes) -> None:
    """A daemon begins with such a file, locked or not, and goes on writing behind it; what it wrote is there."""
    shutil.rmtree(home := place() / "start", ignore_errors=True)
    home.mkdir(0o700)
    (home / "audit.log").write_bytes(data[1:])
    asyncio.run(_begin(home / "audit.log", (data[0] if data else 0) % 4))


async def _begin(path: Path, how: int) -> None:
    vault = _Vault(locked=bool(how & 1), head=None if how & 2 else _head())
    book = Logbook(path, cast("Vault", vault), FakeClock())
    for _ in range(2):
        await book.look()
        await book.write([(1.0, "token", DAEMON, True, "a", "here", 0, 0, 0, "")], 0)
        await book.seal()
        vault.locked = False
    assert b"".join(one.read_bytes() for one in path.parent.iterdir()).count(b'"detail":"here"') >= 2


class _Vault:
    """With a log's end in it, or none."""

    key_source = "file"

    def __init__(self, *, locked: bool, head: bytes | None) -> None:
        self.locked = locked
        self.notes = self
        self._head = head

    def derive(self, _: str) -> bytes:
        if self.locked:
            raise Locked
        return _KEY

    async def read(self, _: str) -> bytes | None:
        return self._head

    async def write(self, _: str, payload: bytes) -> None:
        self._head = payload


@cache
def _log() -> bytes:
    records = [AuditRecord(number=0, at=1.5, what="token", account="a", pid=3, detail="x")] * 3
    sealed, tip = chain.lines(records, Tip(), _KEY)
    plain, tip = chain.lines(records[:1], tip, None)
    return sealed + plain + chain.lines(records, tip, _KEY)[0]


@cache
def _head() -> bytes:
    """Sealed after the first three."""
    records = [AuditRecord(number=0, at=1.5, what="token", account="a", pid=3, detail="x")] * 3
    _, tip = chain.lines(records, Tip(), _KEY)
    return msgspec.msgpack.encode(Head(tip.number, tip.digest, tip.size))


@cache
def _genuine() -> set[bytes]:
    return set(_log().splitlines(keepends=True))


def _seeds() -> list[bytes]:
    whole = _log()
    lines = whole.splitlines(keepends=True)
    return [whole, lines[0], lines[3], b"".join(lines[:2]), b"".join(lines[1:])]


def _starts() -> list[bytes]:
    huge = [b'{"number":%d,"at":1,"what":"token","detail":"x"}\n' % number for number in (2**63 - 1, 2**64 - 1, 2**70)]
    return [bytes([how]) + seed for how in range(4) for seed in (*_seeds(), *huge)]


_WORDS: Final = (
    *(b'"number":', b',"mac":"', b',"sum":"', b'"}\n', b"\n", b"0" * 64, b"1e999", b"[" * 2000, b"\xff", b"\\ud800"),
    *(b"18446744073709551615", b"-9223372036854775808", b"99999999999999999999"),
)

TARGETS: Final = (
    Target("audit-lines", log, _seeds, longest=4096, words=_WORDS),
    Target("audit-file", file, _seeds, longest=4096, words=(*_WORDS, b"x" * 4000)),
    Target("audit-start", start, _starts, longest=4096, words=_WORDS),
)
