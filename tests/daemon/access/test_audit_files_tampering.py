"""Somebody who may write the files of the audit log, but has not the key: whatever they do to any of them is found."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv_protocol.replies import AuditRecord
from aixtivd.access import chain, proof
from aixtivd.access.chain import Head, Tip
from aixtivd.access.shelf import Shelf
from peers.audits import CALLER, desk, older, shown

SMALL = 600  # bytes: three records fill a file
RECORDS = 11  # in three older files and the one that is written
KEY = bytes(range(32))

Alter = Callable[[list[Path]], None]


async def written(folder: Path) -> list[Path]:
    async with desk(folder, limit=SMALL) as here:
        for number in range(RECORDS):
            await here.happened(f"a{number}")
    return all_files(folder)


def all_files(folder: Path) -> list[Path]:
    return [*older(folder), folder / "audit.log"]


async def found(folder: Path) -> str:
    """What `verify` says after a restart, and once more after records went on in other files, and another restart."""
    async with desk(folder, limit=SMALL) as here:
        first = await here.verify()
        for number in range(7):
            await here.happened(f"later{number}")
        assert not (await here.verify()).intact
    async with desk(folder, limit=SMALL) as again:
        last = await again.verify()
        assert [record.account for record in await again.all(limit=1)] == ["later6"], "records go on behind it"
    assert (first.intact, last.intact) == (False, False), first
    return last.problem


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def with_lines(which: int, change: Callable[[list[bytes]], list[bytes]]) -> Alter:
    def alter(files: list[Path]) -> None:
        files[which].write_bytes(b"".join(change(lines_of(files[which]))))

    return alter


def forged(line: bytes) -> bytes:
    return line.replace(b'"account":"a', b'"account":"b')


def swapped(one: int, other: int) -> Alter:
    """The contents of two files."""

    def swap(files: list[Path]) -> None:
        contents = files[one].read_bytes(), files[other].read_bytes()
        files[other].write_bytes(contents[0])
        files[one].write_bytes(contents[1])

    return swap


def joined(files: list[Path]) -> None:
    """Two files made one, so that there is one less and no record is missing."""
    files[1].write_bytes(files[0].read_bytes() + files[1].read_bytes())
    files[0].unlink()


def moved(files: list[Path]) -> None:
    """The first record of a file, to the end of the one before."""
    first, *rest = lines_of(files[1])
    files[0].write_bytes(files[0].read_bytes() + first)
    files[1].write_bytes(b"".join(rest))


def rotated(files: list[Path]) -> None:
    """As a rotation that never was: each file under the name of the one before, and the first one gone."""
    for one, other in itertools.pairwise(files):
        other.rename(one)


def anew(files: list[Path]) -> None:
    """A file chained without a key, as a locked daemon would: nobody needs the key for that."""
    digest = shown(lines_of(files[0])[-1])["mac"]
    records = [chain.record(forged(line)) for line in lines_of(files[1])]
    data, _ = chain.lines([one for one in records if one], Tip(3, digest), None)
    files[1].write_bytes(data)


def linked(files: list[Path]) -> None:
    files[1].rename(files[1].with_name("elsewhere"))
    files[1].symlink_to("elsewhere")


def folder_instead(files: list[Path]) -> None:
    files[2].unlink()
    files[2].mkdir()


def without(*which: int) -> Alter:
    def delete(files: list[Path]) -> None:
        for one in which:
            files[one].unlink()

    return delete


ATTACKS: dict[str, tuple[Alter, str]] = {
    "the oldest file deleted": (
        without(0),
        "records 1 to 3 are missing: audit.log.from-0000000001 is not there",
    ),
    "a file in the middle deleted": (
        without(1),
        "records 4 to 6 are missing: audit.log.from-0000000004 is not there",
    ),
    "the newest of the older files deleted": (
        without(2),
        "records 7 to 9 are missing: audit.log.from-0000000007 is not there",
    ),
    "the file that is written deleted": (without(3), "records 10 to 11 are missing"),
    "all files deleted": (
        without(0, 1, 2, 3),
        "records 1 to 3 are missing: audit.log.from-0000000001 is not there",
    ),
    "all older files deleted": (
        without(0, 1, 2),
        "records 1 to 3 are missing: audit.log.from-0000000001 is not there",
    ),
    "a file emptied": (
        with_lines(1, lambda _: []),
        "records 4 to 6 are missing: audit.log.from-0000000004 is empty",
    ),
    "a record in an older file altered": (
        with_lines(1, lambda known: [known[0], forged(known[1]), known[2]]),
        "record 5, or the one before it, was altered",
    ),
    "a record in an older file deleted": (with_lines(1, lambda known: [known[0], known[2]]), "record 5 is missing"),
    "the last record of an older file deleted": (
        with_lines(1, lambda known: known[:2]),
        "audit.log.from-0000000004 ends with record 5, and it ended with record 6",
    ),
    "the first record of an older file deleted": (with_lines(0, lambda known: known[1:]), "record 1 is missing"),
    "two records of an older file swapped": (
        with_lines(0, lambda known: [known[1], known[0], known[2]]),
        "record 1 is missing",
    ),
    "a record of an older file repeated": (
        with_lines(2, lambda known: [*known, known[2]]),
        "record 9 stands where record 10 belongs",
    ),
    "an older file cut in the middle of a line": (
        with_lines(2, lambda known: [*known[:2], known[2][:40]]),
        "what stands behind record 8 is no record",
    ),
    "an older file less its last byte": (
        with_lines(2, lambda known: [*known[:2], known[2][:-1]]),
        "what stands behind record 8 is no record",
    ),
    "nonsense behind an older file": (
        with_lines(0, lambda known: [*known, b"nonsense\n"]),
        "what stands behind record 3 is no record",
    ),
    "two older files swapped": (swapped(0, 1), "records 1 to 3 are missing"),
    "an older file and the one that is written swapped": (swapped(1, 3), "records 4 to 9 are missing"),
    "two files made one": (joined, "records 1 to 3 are missing: audit.log.from-0000000001 is not there"),
    "a record moved to the file before": (
        moved,
        "audit.log.from-0000000001 ends with record 4, and it ended with record 3",
    ),
    "each file under the name of the one before": (rotated, "records 1 to 3 are missing"),
    "a file anew, without a key": (anew, "record 6 is not the one that was written"),
    "a file replaced by a link to it": (
        linked,
        "records 4 to 6 are missing: audit.log.from-0000000004 is not a plain file",
    ),
    "a file replaced by a folder": (
        folder_instead,
        "records 7 to 9 are missing: audit.log.from-0000000007 is not a plain file",
    ),
    "the end of the one that is written cut off": (with_lines(3, lambda known: known[:1]), "record 11 is missing"),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_what_is_done_to_any_file_is_found_and_stays_found(folder: Path, attack: str) -> None:
    files = await written(folder)
    alter, sentence = ATTACKS[attack]
    alter(files)
    assert await found(folder) == sentence


@pytest.mark.parametrize(
    "attack", ["the oldest file deleted", "a record moved to the file before", "a record in an older file deleted"]
)
async def test_what_a_look_at_names_and_sizes_tells_is_said_at_the_start_and_once(
    folder: Path, attack: str, caplog: pytest.LogCaptureFixture
) -> None:
    ATTACKS[attack][0](await written(folder))
    for _ in range(2):
        async with desk(folder, limit=SMALL) as here:
            await here.happened("later")
            told = [record for record in await here.all() if record.what == "audit"]
            assert [record.detail.partition(": ")[0] for record in told] == ["the log was altered"]
    assert caplog.messages.count("audit-altered") == 1


async def test_a_file_that_is_put_back_does_not_undo_what_was_found(folder: Path) -> None:
    files = await written(folder)
    files[1].rename(folder / "elsewhere")
    async with desk(folder, limit=SMALL) as here:
        await here.happened("later")
    (folder / "elsewhere").rename(files[1])
    async with desk(folder, limit=SMALL) as again:
        verdict = await again.verify()
        assert (verdict.intact, verdict.problem) == (
            False,
            "records 4 to 6 are missing: audit.log.from-0000000004 is not there",
        )


async def test_an_altered_file_is_not_dropped_and_what_was_found_stays_found(folder: Path) -> None:
    """Else whoever alters a record would only have to wait, or to make many others."""
    files = await written(folder)
    altered = b"".join([lines_of(files[0])[0], forged(lines_of(files[0])[1]), lines_of(files[0])[2]])
    files[0].write_bytes(altered)
    async with desk(folder, limit=SMALL, files=1) as here:
        for number in range(12):
            await here.happened(f"later{number}")
        kept = folder / "audit.log.from-0000000001.altered"
        assert kept.read_bytes() == altered
        assert len(older(folder)) == 2  # it and one more
        verdict = await here.verify()
        sentence = f"record 2, or the one before it, was altered; it was not dropped, it is {kept.name} now"
        assert (verdict.intact, verdict.problem) == (False, sentence)
    async with desk(folder, limit=SMALL, files=1) as again:
        assert (await again.verify()).problem == sentence
        await again.begin_anew(CALLER)
        assert (await again.verify()).intact


async def test_an_older_set_of_files_with_the_newer_store_is_found(folder: Path) -> None:
    await written(folder)
    yesterday = folder / "yesterday"
    yesterday.mkdir()
    for file in all_files(folder):
        shutil.copy(file, yesterday)
    async with desk(folder, limit=SMALL) as here:
        for number in range(7):
            await here.happened(f"later{number}")
    for file in all_files(folder):
        file.unlink()
    for file in yesterday.iterdir():
        shutil.copy(file, folder)
    assert await found(folder) == "records 10 to 12 are missing: audit.log.from-0000000010 is not there"


async def test_with_a_sealed_end_that_was_taken_away_the_older_files_do_not_count_as_proven(folder: Path) -> None:
    from peers.vaults import inside

    await written(folder)
    with inside(folder) as db:
        db.execute("DELETE FROM notes")
    async with desk(folder, limit=SMALL) as here:
        verdict = await here.verify()
        assert not verdict.intact
        assert verdict.first == 1


# Without the vault, so that every single byte can be tried


def shelved(folder: Path) -> tuple[Shelf, Head]:
    """Four files of three records each."""
    shelf, head = Shelf(folder / "audit.log"), Head()
    for number in range(4):
        if number:
            shelf.begin_next(head.begin.number + 1)
            head = head.turned()
        records = [AuditRecord(number=0, at=1.5, what="token", account=f"a{number}{n}") for n in range(3)]
        data, tip = chain.lines(records, head.tip, KEY)
        shelf.current.append(data)
        head = head.at(tip)
    return shelf, head


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shelf, Head]:
    return shelved(tmp_path_factory.mktemp("audit"))


def test_every_byte_of_every_file_counts(whole: tuple[Shelf, Head]) -> None:
    shelf, head = whole
    assert proof.verdict(shelf, KEY, head, head).intact
    for path in all_files(shelf.path.parent):
        content = path.read_bytes()
        for place in range(len(content)):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert proof.verdict(shelf, KEY, head, head).problem, (path.name, place)
        path.write_bytes(content)
    assert proof.verdict(shelf, KEY, head, head).intact


@given(
    which=st.integers(0, 3),
    start=st.integers(0, 600),
    length=st.integers(0, 200),
    instead=st.binary(max_size=200) | st.sampled_from([b"\n", b"{}\n", b"\n\n"]),
)
def test_whatever_is_put_in_the_place_of_whatever_is_found(
    whole: tuple[Shelf, Head], which: int, start: int, length: int, instead: bytes
) -> None:
    shelf, head = whole
    path = all_files(shelf.path.parent)[which]
    content = path.read_bytes()
    altered = content[:start] + instead + content[start + length :]
    try:
        path.write_bytes(altered)
        behind = which == 3 and altered.startswith(content)  # what is behind the end is the start's to find
        assert proof.verdict(shelf, KEY, head, head).intact == (altered == content or behind)
    finally:
        path.write_bytes(content)


def test_cut_anywhere_every_file_is_found_short(whole: tuple[Shelf, Head]) -> None:
    shelf, head = whole
    for path in all_files(shelf.path.parent):
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            assert proof.verdict(shelf, KEY, head, head).problem, (path.name, length)
        path.write_bytes(content)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[1:])
def test_every_other_order_of_files_is_found(folder: Path, order: tuple[int, ...]) -> None:
    shelf, head = shelved(folder)
    files = all_files(folder)
    contents = [path.read_bytes() for path in files]
    for path, which in zip(files, order, strict=True):
        path.write_bytes(contents[which])
    assert not proof.verdict(shelf, KEY, head, head).intact


def test_another_key_or_another_beginning_proves_nothing(whole: tuple[Shelf, Head]) -> None:
    shelf, head = whole
    assert not proof.verdict(shelf, bytes(32), head, head).intact
    wrong = (Tip(0, "1" * 64, head.older[0].size), *head.older[1:])
    assert not proof.verdict(
        shelf, KEY, Head(head.number, head.digest, head.size, older=wrong, begin=head.begin), head
    ).intact
