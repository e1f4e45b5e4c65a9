"""What a setup changed, kept beside copies of the files as they were: written first, so that a crash is undone, too."""

import contextlib
import hashlib
import time
from pathlib import Path
from typing import Final

import msgspec
import platformdirs
from msgspec import Struct

from aixtiv.failures import AixtivError
from aixtiv.setup import files
from aixtiv.setup.goal import Goal, Kind, Owned, edited, owned, stripped
from aixtiv.setup.jsontext import Broken
from aixtiv.show import short

_FILE: Final = "record.json"


class Change(Struct, frozen=True):
    """One file: what it was without us, and how it is recognised as we left it."""

    path: str
    kind: Kind
    left: tuple[str, ...]  # SHA-256 of what we left it as: by this setup, and by earlier ones that this one goes over
    backup: str = ""  # the name of its copy; empty: there was no file
    own: tuple[Owned, ...] = ()
    folders: tuple[str, ...] = ()  # made for it, the innermost first


class Record(Struct, frozen=True):
    name: str
    changes: tuple[Change, ...] = ()
    ticket: str = ""  # its id
    account: str = ""
    port: int = 0
    users: tuple[str, ...] = ()  # the setups that need this one
    made_at: int = 0


class Pending(Struct, frozen=True):
    """A change that has not been made yet."""

    goal: Goal
    now: bytes | None
    base: bytes | None  # without us: `now`, but where an earlier setup of ours stands in it
    after: bytes

    def __repr__(self) -> str:  # a file may hold a ticket
        return f"Pending({len(self.after)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("bytes", len(self.after))]


class Undone(Struct, frozen=True):
    """A file that was changed since, and what was done with it."""

    path: str
    sentence: str


def folder(name: str = "") -> Path:
    return Path(platformdirs.user_state_dir("aixtiv")) / "setup" / name


def load(name: str) -> Record:
    """Empty where there is none. Raises AixtivError."""
    data = files.contents(folder(name) / _FILE)
    if data is None:
        return Record(name)
    try:
        return msgspec.json.decode(data, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        path = folder(name) / _FILE
        raise AixtivError(f"{short(str(path))} cannot be read", hint=f"ls -l {path.parent}") from None


def save(record: Record) -> None:
    files.write(folder(record.name) / _FILE, msgspec.json.format(msgspec.json.encode(record)), mode=0o600)


def pending(goals: tuple[Goal, ...], record: Record) -> tuple[Pending, ...]:
    """Raises AixtivError for a file that cannot be changed. Files that are as they should be are in it, too."""
    return tuple(_pending(goal, record) for goal in goals)


def _pending(goal: Goal, record: Record) -> Pending:
    now = files.contents(goal.path)
    text = files.text(goal.path, now or b"")
    earlier = next((change for change in record.changes if change.path == str(goal.path)), None)
    after = edited(goal, text).encode()  # first, since it says where a broken file is broken
    base = _without_us(record, earlier, now) if earlier else now
    return Pending(goal, now, base, after)


def apply(record: Record, changes: tuple[Pending, ...]) -> None:
    """Copies and record first, then the files. Those of an earlier setup that are not in it are put back."""
    wanted = {str(change.goal.path) for change in changes}
    earlier = tuple(change for change in record.changes if change.path not in wanted)
    for change in reversed(earlier):
        _undo(record, change)
    kept = [_kept(record, change) for change in changes]
    save(msgspec.structs.replace(record, changes=tuple(kept), made_at=int(time.time())))
    for wished in changes:
        if wished.now != wished.after:
            files.write(wished.goal.path, wished.after, mode=wished.goal.mode)


def _kept(record: Record, change: Pending) -> Change:
    path = change.goal.path
    earlier = next((one for one in record.changes if one.path == str(path)), None)
    backup = "" if change.base is None else f"{_digest(bytes(path))[:8]}-{path.name}"
    if change.base is not None:
        files.write(folder(record.name) / backup, change.base, mode=0o600)
    return Change(
        path=str(path),
        kind=change.goal.kind,
        left=(_digest(change.after), *(earlier.left if earlier else ())),
        backup=backup,
        own=owned(change.goal, (change.base or b"").decode(), change.after.decode()),
        folders=tuple(str(made) for made in files.missing(path)) or (earlier.folders if earlier else ()),
    )


def is_intact(record: Record) -> bool:
    """Whether every file is as this setup left it."""
    return all(
        (now := files.contents(Path(change.path))) is not None and _digest(now) == change.left[0]
        for change in record.changes
    )


def reverted(record: Record) -> list[tuple[str, bytes | None, bytes | None]]:
    """For each file its path, what it is, and what `undo` would make of it."""
    found = []
    for change in reversed(record.changes):
        now = files.contents(Path(change.path))
        with contextlib.suppress(Broken):  # `undo` leaves it, and says so
            found.append((change.path, now, _without_us(record, change, now)))
    return found


def undo(record: Record) -> list[Undone]:
    """Puts every file back, the last one first, and forgets the record. Twice does no harm."""
    told = [said for change in reversed(record.changes) if (said := _undo(record, change))]
    forget(record.name)
    return told


def forget(name: str) -> None:
    place = folder(name)
    if place.is_dir():
        for file in place.iterdir():
            files.remove(file)
    files.remove_empty([place, place.parent])


def _undo(record: Record, change: Change) -> Undone | None:
    path = Path(change.path)
    now = files.contents(path)
    try:
        then = _without_us(record, change, now)
    except Broken as error:
        return Undone(change.path, f"cannot be understood any more, and is left as it is ({error})")
    if then == now and now is not None and change.kind == "whole":
        return Undone(change.path, "was changed since, and is left as it is")
    if then is None and now is not None:
        files.remove(path)
    elif then is not None and then != now:
        files.write(path, then)
    files.remove_empty([Path(made) for made in change.folders])
    if now is not None and _digest(now) not in change.left and then != now:
        return Undone(change.path, "was changed since; only what aixtiv had put there was taken out")
    return None


def _without_us(record: Record, change: Change, now: bytes | None) -> bytes | None:
    """The file's bytes as they are to be without this change; None: no file. Raises Broken."""
    before = files.contents(folder(record.name) / change.backup) if change.backup else None
    if now is None or now == before:  # they took it away, or it never came to it
        return now
    if _digest(now) in change.left:
        return before
    text = stripped(change.kind, files.text(Path(change.path), now), change.own)
    nothing_left = text.strip() in ("", "{}") and before is None
    return None if nothing_left and change.kind != "whole" else text.encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
