"""Somebody who may write the files, but has not the key: what they do to the audit log is found, and stays found."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aixtiv_protocol.replies import AuditRecord
from aixtivd.access import chain
from aixtivd.access.chain import START, Tip, follow
from peers.audits import desk, lines, rewrite, shown
from peers.vaults import inside

RECORDS = 8
KEY = bytes(range(32))


async def written(folder: Path) -> None:
    async with desk(folder) as here:
        for number in range(RECORDS):
            await here.happened(f"a{number}")


async def found(folder: Path) -> str:
    """What `verify` says after a restart, and once more after records went on and another restart."""
    async with desk(folder) as here:
        first = await here.verify()
        await here.happened("later")
        assert not (await here.verify()).intact
    async with desk(folder) as again:
        last = await again.verify()
    assert (first.intact, last.intact) == (False, False), first
    return last.problem


def with_lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder, change(lines(folder)))


def forged(line: bytes) -> bytes:
    return line.replace(b'"account":"a', b'"account":"b')


def plain(folder: Path) -> None:
    """The whole log anew, chained without a key, as a locked daemon would: nobody needs the key for that."""
    records = [chain.record(forged(line)) for line in lines(folder)]
    data, _ = chain.lines([one for one in records if one], Tip(), None)
    (folder / "audit.log").write_bytes(data)


def plain_at_the_end(folder: Path) -> None:
    """The same for the last three."""
    kept, away = lines(folder)[:5], lines(folder)[5:]
    digest = shown(kept[-1])["mac"]
    records = [chain.record(forged(line)) for line in away]
    data, _ = chain.lines([one for one in records if one], Tip(5, digest), None)
    (folder / "audit.log").write_bytes(b"".join(kept) + data)


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a record altered": (
        with_lines(lambda known: [*known[:3], forged(known[3]), *known[4:]]),
        "record 4, or the one before it, was altered",
    ),
    "the last record altered": (
        with_lines(lambda known: [*known[:-1], forged(known[-1])]),
        "record 8, or the one before it, was altered",
    ),
    "a record deleted": (with_lines(lambda known: [*known[:3], *known[4:]]), "record 4 is missing"),
    "some records deleted": (with_lines(lambda known: [*known[:3], *known[6:]]), "records 4 to 6 are missing"),
    "the first record deleted": (with_lines(lambda known: known[1:]), "record 1 is missing"),
    "two records swapped": (
        with_lines(lambda known: [*known[:3], known[4], known[3], *known[5:]]),
        "record 4 is missing",
    ),
    "a record repeated": (
        with_lines(lambda known: [*known[:4], known[3], *known[4:]]),
        "record 4 stands where record 5 belongs",
    ),
    "the last records cut off": (with_lines(lambda known: known[:5]), "records 6 to 8 are missing"),
    "the last record cut off": (with_lines(lambda known: known[:-1]), "record 8 is missing"),
    "cut in the middle of a line": (
        with_lines(lambda known: [*known[:5], known[5][:40]]),
        "records 6 to 8 are missing",
    ),
    "emptied": (with_lines(lambda _: []), "records 1 to 8 are missing"),
    "deleted": (lambda folder: (folder / "audit.log").unlink(), "records 1 to 8 are missing"),
    "a line of nonsense between": (
        with_lines(lambda known: [*known[:3], b"nonsense\n", *known[3:]]),
        "what stands behind record 3 is no record",
    ),
    "nonsense behind": (with_lines(lambda known: [*known, b"nonsense\n"]), "what stands behind record 8 is no record"),
    "a forged record behind": (
        with_lines(lambda known: [*known, forged(known[-1]).replace(b'"number":8', b'"number":9')]),
        "record 9, or the one before it, was altered",
    ),
    "the log anew, without a key": (plain, "record 9, or the one before it, was altered"),
    "its end anew, without a key": (plain_at_the_end, "record 9, or the one before it, was altered"),
    "a member added to a record": (
        with_lines(lambda known: [*known[:3], known[3].replace(b'"at"', b'"ok":false,"at"'), *known[4:]]),
        "record 4, or the one before it, was altered",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_what_is_done_to_the_log_is_found_and_stays_found(folder: Path, attack: str) -> None:
    await written(folder)
    alter, sentence = ATTACKS[attack]
    alter(folder)
    assert await found(folder) == sentence


@pytest.mark.parametrize("attack", ["the last record cut off", "deleted", "nonsense behind", "emptied"])
async def test_what_is_done_to_the_end_is_found_at_the_start_and_said(
    folder: Path, attack: str, caplog: pytest.LogCaptureFixture
) -> None:
    await written(folder)
    ATTACKS[attack][0](folder)
    async with desk(folder) as here:
        await here.happened("later")
        records = await here.all()
        told = [record for record in records if record.what == "audit"]
        assert [record.ok for record in told] == [False]
        assert told[0].detail.startswith("the log was altered: ")
        assert (told[0].number, records[-1].number) == (9, 10)
    assert "audit-altered" in caplog.messages


async def test_nothing_is_repaired_in_silence(folder: Path) -> None:
    """What is left of an altered log stays as it is; records go on behind it."""
    await written(folder)
    rewrite(folder, [*lines(folder)[:2], forged(lines(folder)[2]), b"nonsense\n"])
    before = b"".join(lines(folder))
    async with desk(folder) as here:
        await here.happened("later")
    assert b"".join(lines(folder)).startswith(before)
    assert len(lines(folder)) == 6


@pytest.mark.parametrize("at", range(0, 300, 7))
async def test_every_altered_byte_is_found(folder: Path, at: int) -> None:
    await written(folder)
    path = folder / "audit.log"
    content = bytearray(path.read_bytes())
    place = at * len(content) // 300
    content[place] ^= 1
    path.write_bytes(content)
    async with desk(folder) as here:
        assert not (await here.verify()).intact


def test_every_byte_of_every_line_counts() -> None:
    """Without the disk, so that each single one can be tried."""
    records = [AuditRecord(number=0, at=1.5, what="token", account=f"a{number}") for number in range(3)]
    data, tip = chain.lines(records, Tip(), KEY)
    assert follow(iter(data.splitlines(keepends=True)), Tip(), KEY).tip == tip
    for place in range(len(data)):
        for flip in (1, 0x20, 0x80):
            altered = bytearray(data)
            altered[place] ^= flip
            walked = follow(iter(bytes(altered).splitlines(keepends=True)), Tip(), KEY, head=tip)
            assert walked.problem, (place, flip)


async def test_cut_anywhere_the_log_is_found_short(folder: Path) -> None:
    records = [AuditRecord(number=0, at=1.5, what="token", account=f"a{number}") for number in range(3)]
    data, tip = chain.lines(records, Tip(), KEY)
    for length in range(len(data)):
        walked = follow(iter(data[:length].splitlines(keepends=True)), Tip(), KEY, head=tip)
        assert walked.problem or walked.tip != tip, length


async def test_a_log_that_was_written_anew_is_found_at_its_sealed_end(folder: Path) -> None:
    await written(folder)
    plain(folder)
    async with desk(folder) as here:
        (told,) = [record for record in await here.all() if record.what == "audit"]
        assert told.detail == "the log was altered: record 8 is not the one that was written"


def test_another_key_follows_nothing() -> None:
    data, _ = chain.lines([AuditRecord(number=0, at=1.5, what="token")], Tip(), KEY)
    assert follow(iter([data]), Tip(), bytes(32)).problem == "record 1, or the one before it, was altered"
    assert follow(iter([data]), Tip(0, "1" * 64), KEY).problem == "record 1, or the one before it, was altered"


async def test_what_is_done_while_the_daemon_runs_is_found_at_the_next_record(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await written(folder)
    async with desk(folder) as here:
        await here.happened("before")
        rewrite(folder, lines(folder)[:4])
        await here.happened("after", "later")
        assert "audit-altered" in caplog.messages
        assert (await here.verify()).problem == "records 5 to 9 are missing"
        assert any(record.detail.startswith("the log was altered: it had") for record in await here.all())


@pytest.mark.parametrize("how", ["deleted", "anew", "shortened"])
async def test_what_is_done_while_it_is_locked_is_found_at_the_unlock_by_the_same_daemon(
    folder: Path, how: str
) -> None:
    """It remembers what it wrote; only a locked daemon that ends takes that with it."""
    await written(folder)
    async with desk(folder) as here:
        await here.vault.lock()
        await here.happened("one", "two")
        known = lines(folder)
        if how == "deleted":
            here.path.unlink()
        if how == "shortened":
            rewrite(folder, known[:-1])
        if how == "anew":
            record = chain.record(known[-1].replace(b"two", b"owt"))
            assert record
            data, _ = chain.lines([record], Tip(9, shown(known[-2])["sum"]), None)
            rewrite(folder, [*known[:-1], data])
        await here.vault.unlock()
        await here.happened("three")
        assert any(record.detail.startswith("the log was altered") for record in await here.all())
        assert not (await here.verify()).intact


def forge_an_end(folder: Path) -> None:
    """As a locked daemon would, which nobody needs the key for."""
    known = lines(folder)
    data, _ = chain.lines(
        [AuditRecord(number=0, at=1.0, what="token", account="forged")], Tip(8, shown(known[-1])["mac"]), None
    )
    rewrite(folder, [*known, data])


async def test_a_forged_end_without_the_key_is_found_where_nothing_was_locked(folder: Path) -> None:
    await written(folder)
    forge_an_end(folder)
    async with desk(folder) as here:
        assert not (await here.verify()).intact
        (told,) = [record for record in await here.all() if record.what == "audit"]
        assert told.detail == "the log was altered: record 9 is not under the key, and nothing was locked"
    async with desk(folder) as again:
        assert not (await again.verify()).intact


async def test_a_forged_end_is_found_by_a_daemon_that_begins_locked(folder: Path) -> None:
    await written(folder)
    forge_an_end(folder)
    async with desk(folder) as here:
        await here.vault.lock()
        await here.happened("mine")
        await here.vault.unlock()
        assert not (await here.verify()).intact


async def test_a_forged_end_from_a_locked_daemon_cannot_be_told_but_is_marked(folder: Path) -> None:
    """Whoever can write the file can do what a locked daemon does: the record at the unlock says how much that is."""
    await written(folder)
    async with desk(folder) as here:
        await here.lock()
    forge_an_end(folder)
    async with desk(folder) as here:
        verdict = await here.verify()
        assert (verdict.intact, verdict.plain) == (True, 1)
        (told,) = [record for record in await here.all() if record.what == "audit"]
        assert told.detail == (
            "records beyond the sealed end were taken in: 1, 1 of them written while the vault was locked"
        )


async def test_a_start_does_not_excuse_what_was_forged_before_it(folder: Path) -> None:
    await written(folder)
    forge_an_end(folder)
    known = lines(folder)
    start = [AuditRecord(number=0, at=1.0, what="start")]
    data, _ = chain.lines(start, Tip(9, shown(known[-1])["sum"]), None)
    rewrite(folder, [*known, data])
    async with desk(folder) as here:
        assert not (await here.verify()).intact


@pytest.mark.parametrize("what", ["the last record altered", "the last record cut off", "its end anew, without a key"])
async def test_a_locked_start_hides_nothing_that_was_done_to_what_is_proven(folder: Path, what: str) -> None:
    await written(folder)
    ATTACKS[what][0](folder)
    last = chain.last(lines(folder)[-1])
    assert last
    data, _ = chain.lines([AuditRecord(number=0, at=1.0, what="start")], Tip(*last), None)
    rewrite(folder, [*lines(folder), data])
    async with desk(folder) as here:
        assert not (await here.verify()).intact


async def test_more_unsealed_records_than_a_daemon_leaves_are_not_taken_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aixtivd.access import logbook

    await written(folder)
    async with desk(folder) as here:
        await here.lock()
    monkeypatch.setattr(logbook, "UNSEALED", 5)
    known = lines(folder)
    many = [AuditRecord(number=0, at=1.0, what="token", account="forged")] * 11
    data, _ = chain.lines(many, Tip(8, shown(known[-1])["mac"]), None)
    rewrite(folder, [*known, data])
    async with desk(folder) as here:
        await here.flush()
        assert (await here.verify()).problem == "record 20, or the one before it, was altered"
        assert any("more than 10 records" in record.detail for record in await here.all())


async def test_the_sealed_end_cannot_be_altered_or_taken_away_unseen(folder: Path) -> None:
    for statement in ("DELETE FROM notes", "UPDATE notes SET sealed = zeroblob(60)"):
        home = folder / statement[:6]
        home.mkdir(mode=0o700)
        await written(home)
        with inside(home) as db:
            db.execute(statement)
        rewrite(home, lines(home)[:4])
        async with desk(home) as here:
            assert (await here.verify()).problem == "record 5 is missing"
            (told,) = [record for record in await here.all() if record.what == "audit"]
            assert told.detail.startswith("the sealed end of the log cannot be trusted: the store's note about audit")
        async with desk(home) as again:
            assert (await again.verify()).problem == "record 5 is missing"


async def test_an_older_log_with_the_newer_store_is_found(folder: Path) -> None:
    await written(folder)
    shutil.copy(folder / "audit.log", folder / "yesterday.log")
    await written(folder)
    shutil.copy(folder / "yesterday.log", folder / "audit.log")
    assert await found(folder) == "records 9 to 16 are missing"


async def test_the_log_of_another_store_is_put_aside_and_said(folder: Path) -> None:
    await written(folder)
    before = (folder / "audit.log").read_bytes()
    for name in ("store.db", "key"):
        (folder / name).unlink()
    async with desk(folder) as here:
        await here.happened("anew")
        assert await here.verify() == await here.verify()
        assert (await here.verify()).intact
        told = await here.told()
        assert told == ["a log of another store was here: it is audit.log.before-1800000000 now", "anew"]
    assert (folder / "audit.log.before-1800000000").read_bytes() == before


@pytest.mark.parametrize("end", [b"\n", b""])
async def test_an_endless_line_is_a_broken_one_and_holds_nothing_up(folder: Path, end: bytes) -> None:
    await written(folder)
    with (folder / "audit.log").open("r+b") as log:
        log.truncate((folder / "audit.log").stat().st_size + (256 << 20))
        log.seek(0, 2)
        log.write(end)
    async with desk(folder) as here:
        began = time.monotonic()
        await here.happened("later")
        assert time.monotonic() - began < 10
        assert (await here.verify()).problem == "what stands behind record 8 is no record"
        assert [record.account for record in await here.all(limit=9)][-1] == "later"
        assert [record.number for record in await here.all()] == [*range(1, 9), 9, 10]


async def test_a_file_that_is_no_plain_one_of_ours_is_not_written(folder: Path) -> None:
    target = folder / "elsewhere"
    target.touch(0o600)
    (folder / "audit.log").symlink_to(target)
    async with desk(folder) as here:
        await here.happened("one")
        assert "cannot be written" in here.problem
        assert target.read_bytes() == b""
        here.path.unlink()
        os.mkfifo(here.path)
        await here.happened("two")
        assert here.problem.endswith(("it is not a plain file", "no such device or address"))
        here.path.unlink()
        await here.happened("three")
        assert (here.problem, await here.told()) == ("", ["one", "two", "three"])


async def test_a_log_that_others_could_read_is_closed_to_them(folder: Path) -> None:
    await written(folder)
    (folder / "audit.log").chmod(0o644)
    async with desk(folder) as here:
        await here.happened("one")
        assert (here.path.stat().st_mode & 0o777, (await here.verify()).intact) == (0o600, True)


def test_the_first_record_is_bound_to_a_beginning() -> None:
    assert Tip() == Tip(0, START, 0)
