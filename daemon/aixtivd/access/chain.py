"""The audit log's chain: how each line is bound to the one before it, and what is found by following it. No I/O.

A line is an AuditRecord as it goes over the wire, in JSON, with one member more at its end: `mac`, an HMAC-SHA256
under a key of the vault's over the line before's and this record; or `sum`, a plain SHA-256 of the same, while the
vault is locked. Whoever can write the file can write a `sum`, until the next `mac` behind it has sealed it in; so such
lines are taken only where a locked daemon can have written them (`logbook`), and are told from the others.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from aixtiv_protocol.replies import AuditRecord

START: Final = "0" * 64  # what the first line is bound to
_MAC: Final = b',"mac":"'
_SUM: Final = b',"sum":"'
_END: Final = b'"}\n'
_BEHIND: Final = len(_MAC) + len(START) + len(_END)  # bytes of a line behind its record
_MOST: Final = 2**63 - 1
_DOMAIN: Final = b"aixtiv audit record"

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[AuditRecord] = msgspec.json.Decoder(AuditRecord)


class Tip(Struct, frozen=True, array_like=True):
    """Where the chain ends: the last record's number and digest, and the file's size with it."""

    number: int = 0
    digest: str = START
    size: int = 0


class Head(Struct, frozen=True, array_like=True):
    """Where the log ends and begins, as the vault seals it: of every file, what its first record is bound to.

    The first four were all there was when a log was one file: what was sealed then is read as it is.
    """

    number: int = 0
    digest: str = START
    size: int = 0  # of the file that is written
    open: bool = False  # what follows may have been written by a locked daemon, without the key
    older: tuple[Tip, ...] = ()  # the files before it, the oldest first, each with its size
    begin: Tip = Tip()  # of the file that is written; its size says nothing
    flaw: str = ""  # what was found wrong once, with a file that is gone: a sentence
    anew: bool = False  # all of it is to be put aside: another log begins

    @property
    def tip(self) -> Tip:
        return Tip(self.number, self.digest, self.size)

    @property
    def first(self) -> int:
        """The number of the first record that is kept: those before it were dropped on purpose."""
        return (self.older[0] if self.older else self.begin).number + 1

    def at(self, tip: Tip) -> "Head":
        """The same, with another end."""
        return msgspec.structs.replace(self, number=tip.number, digest=tip.digest, size=tip.size)

    def turned(self) -> "Head":
        """With a next file that is still empty."""
        whole = Tip(self.begin.number, self.begin.digest, self.size)
        return msgspec.structs.replace(self, size=0, older=(*self.older, whole), begin=Tip(self.number, self.digest))

    def turned_back(self) -> "Head":
        """As it was before `turned`, as long as nothing was written since."""
        last = self.older[-1]
        begin = Tip(last.number, last.digest)
        return msgspec.structs.replace(self, size=last.size, older=self.older[:-1], begin=begin)


class Broken(Exception):
    """The chain does not go on here; the text is a sentence."""


class Found(Struct, frozen=True):
    """What following a chain came to."""

    tip: Tip  # the last link that holds
    sealed: int = 0  # lines under the key
    plain: int = 0  # lines that were written while the vault was locked
    problem: str = ""


def line(record: AuditRecord, before: str, key: bytes | None) -> tuple[bytes, str]:
    """The record as a line behind the one whose digest is `before`, and its own digest."""
    body = _encode(record)
    digest = _digest(body, before, key)
    return b"".join((body[:-1], _SUM if key is None else _MAC, digest.encode(), _END)), digest


def lines(records: Iterable[AuditRecord], tip: Tip, key: bytes | None) -> tuple[bytes, Tip]:
    """All of them in one piece, with the tip they make. `number` is given to them here."""
    number, digest, written = tip.number, tip.digest, []
    for record in records:
        number += 1
        one, digest = line(msgspec.structs.replace(record, number=number), digest, key)
        written.append(one)
    data = b"".join(written)
    return data, Tip(number, digest, tip.size + len(data))


def record(line: bytes) -> AuditRecord | None:
    """What a line says, true or not. None: it is no record."""
    try:
        said = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    counts = (said.number, said.pid, said.status, said.sent, said.received, said.count)
    if min(counts) < 0 or max(counts) > _MOST:  # JSON has numbers that no other form takes
        return None
    return msgspec.structs.replace(said, plain=not is_sealed(line))


def last(line: bytes) -> tuple[int, str] | None:
    """Number and digest as a line says them itself. None: it is no record."""
    known = record(line)
    digest = line[-len(START) - len(_END) : -len(_END)].decode(errors="replace")
    return (known.number, digest) if known and _is_digest(digest) else None


def is_sealed(line: bytes) -> bool:
    return line[-_BEHIND : -len(START) - len(_END)] == _MAC


def follow(
    lines: Iterator[bytes], tip: Tip, key: bytes, most: int = 0, head: Tip | None = None, plain_from: int = 0
) -> Found:
    """Along the lines behind `tip`, to the end or the first that is wrong.

    `plain_from`: the place before which lines without the key have to begin as those of a daemon that starts locked.
    `most`: how many there may be; 0: any. `head`: a tip that has to lie on the way.
    """
    sealed = plain = 0
    locked = False  # whether the line before is of a daemon that started locked
    for one in lines:
        try:
            ahead = _next(one, tip, key)
        except Broken as broken:
            return Found(tip, sealed, plain, str(broken))
        if head is not None and ahead.number == head.number and ahead != head:
            return Found(tip, sealed, plain, f"record {head.number} is not the one that was sealed")
        locked = not is_sealed(one) and (locked or _starts(one))
        if tip.size < plain_from and not is_sealed(one) and not locked:
            return Found(tip, sealed, plain, f"record {ahead.number} is not under the key, and nothing was locked")
        if most and sealed + plain >= most:
            return Found(tip, sealed, plain, f"more than {most} records stand behind the sealed end of the log")
        tip = ahead
        sealed, plain = (sealed + 1, plain) if is_sealed(one) else (sealed, plain + 1)
    return Found(tip, sealed, plain)


def _starts(line: bytes) -> bool:
    """Whether a daemon could have begun with that: with its start, or with a torn line that it had to cut."""
    known = record(line)
    return known is not None and known.what in {"start", "audit"}


def _next(line: bytes, tip: Tip, key: bytes) -> Tip:
    """Raises Broken."""
    wanted = tip.number + 1
    known = record(line)
    if known is None or not line.endswith(_END) or line[-_BEHIND:][: len(_MAC)] not in (_MAC, _SUM):
        raise Broken(f"what stands behind record {tip.number} is no record")
    if known.number > wanted:
        gap = f"record {wanted} is" if known.number == wanted + 1 else f"records {wanted} to {known.number - 1} are"
        raise Broken(f"{gap} missing")
    if known.number < wanted:
        raise Broken(f"record {known.number} stands where record {wanted} belongs")
    digest = _digest(line[:-_BEHIND] + b"}", tip.digest, key if is_sealed(line) else None)
    if not hmac.compare_digest(digest.encode(), line[-len(START) - len(_END) : -len(_END)]):
        raise Broken(f"record {wanted}, or the one before it, was altered")
    return Tip(wanted, digest, tip.size + len(line))


def _digest(body: bytes, before: str, key: bytes | None) -> str:
    bound = _DOMAIN + before.encode() + body
    return (hashlib.sha256(bound).digest() if key is None else hmac.digest(key, bound, "sha256")).hex()


def _is_digest(text: str) -> bool:
    return len(text) == len(START) and all(letter in "0123456789abcdef" for letter in text)
