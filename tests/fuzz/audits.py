"""The audit log's lines, as somebody left them in its file."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from aixtiv_protocol.replies import AuditRecord
from aixtivd.access import chain
from aixtivd.access.chain import Tip
from aixtivd.access.logfile import LogFile
from fuzz.memory import folder
from fuzz.target import Target

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
    """Read from either end, whatever it holds: no line is longer than a record can be."""
    log = LogFile(_file())
    log.path.write_bytes(data)
    log.cut_torn()
    size = log.size()
    assert b"".join(log.lines(0, size)) == log.path.read_bytes()
    assert log.start_of_last(2, b"record", size)[0] <= size
    log.last_line()


@cache
def _file() -> Path:
    return Path(tempfile.mkdtemp(prefix="aix-fuzz-", dir=folder())) / "audit.log"


@cache
def _log() -> bytes:
    records = [AuditRecord(number=0, at=1.5, what="token", account="a", pid=3, detail="x")] * 3
    sealed, tip = chain.lines(records, Tip(), _KEY)
    plain, tip = chain.lines(records[:1], tip, None)
    return sealed + plain + chain.lines(records, tip, _KEY)[0]


@cache
def _genuine() -> set[bytes]:
    return set(_log().splitlines(keepends=True))


def _seeds() -> list[bytes]:
    whole = _log()
    lines = whole.splitlines(keepends=True)
    return [whole, lines[0], lines[3], b"".join(lines[:2]), b"".join(lines[1:])]


_WORDS: Final = (b'"number":', b',"mac":"', b',"sum":"', b'"}\n', b"\n", b"0" * 64, b"1e999", b"[" * 2000, b"\xff", b"\\ud800")

TARGETS: Final = (
    Target("audit-lines", log, _seeds, longest=4096, words=_WORDS),
    Target("audit-file", file, _seeds, longest=4096, words=(*_WORDS, b"x" * 4000)),
)
