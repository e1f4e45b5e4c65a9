"""Whether the audit log is whole: its files followed one after the other, and the ends compared with what is sealed."""

import itertools
import stat

from aixtiv_protocol.replies import AuditVerdict
from aixtivd.access import chain
from aixtivd.access.chain import Found, Head, Tip
from aixtivd.access.shelf import Shelf


def verdict(shelf: Shelf, key: bytes, head: Head, sealed: Head) -> AuditVerdict:
    """Blocking. `head`: how the log is; `sealed`: as much of that as the vault has. Raises OSError."""
    plain, found = 0, Found(Tip(head.first - 1))
    for one, ahead in itertools.pairwise((*head.older, head.begin)):
        found = of_one(shelf, one, ahead, key)
        plain += found.plain
        if found.problem:
            break
    else:
        found = _of_the_last(shelf, key, head, sealed)
        plain += found.plain
    problem = found.problem or head.flaw
    records = found.tip.number - head.first + 1
    return AuditVerdict(intact=not problem, records=records, first=head.first, plain=plain, problem=problem)


def of_one(shelf: Shelf, one: Tip, ahead: Tip, key: bytes) -> Found:
    """An older file; `ahead`: what the first record behind it is bound to. Raises OSError."""
    if problem := missing(shelf, one, ahead):
        return Found(Tip(one.number), problem=problem)
    file = shelf.older(one.number + 1)
    found = chain.follow(file.lines(0, file.size()), Tip(one.number, one.digest), key)
    problem = found.problem
    if not problem and found.tip.number != ahead.number:
        problem = f"{file.path.name} ends with record {found.tip.number}, and it ended with record {ahead.number}"
    if not problem and found.tip != Tip(ahead.number, ahead.digest, one.size):
        problem = ended(found.tip, ahead)
    return Found(found.tip, found.sealed, found.plain, problem)


def missing(shelf: Shelf, one: Tip, ahead: Tip) -> str:
    """What a look at an older file tells, without reading it: a sentence. Empty: nothing. Raises OSError."""
    path = shelf.place(one.number + 1)
    try:
        found = path.lstat()
    except FileNotFoundError:
        why = "is not there"
    else:
        if stat.S_ISREG(found.st_mode) and found.st_size:
            return ""
        why = "is empty" if stat.S_ISREG(found.st_mode) else "is not a plain file"
    return f"{_records(one.number + 1, ahead.number)} missing: {path.name} {why}"


def shrunk(shelf: Shelf, head: Head) -> str:
    """The same of all older files, and whether each is as long as it was. Raises OSError."""
    for one, ahead in itertools.pairwise((*head.older, head.begin)):
        if problem := missing(shelf, one, ahead):
            return problem
        path = shelf.place(one.number + 1)
        if (size := path.lstat().st_size) != one.size:
            return f"{path.name} has {size} bytes and had {one.size}"
    return ""


def ended(found: Tip, expected: Tip) -> str:
    if found.number == expected.number:
        return f"record {found.number} is not the one that was written"
    return f"the log ends with record {found.number}, and there were {expected.number}"


def _of_the_last(shelf: Shelf, key: bytes, head: Head, sealed: Head) -> Found:
    """The file that is written, up to where it ends."""
    begin = Tip(head.begin.number, head.begin.digest)
    on_the_way = sealed.tip if sealed.begin == head.begin else None  # else it is of the file before
    file = shelf.last(begin.number + 1)
    found = chain.follow(file.lines(0, head.size), begin, key, head=on_the_way)
    if found.problem or found.tip == head.tip:
        return found
    return Found(found.tip, found.sealed, found.plain, ended(found.tip, head.tip))


def _records(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"
