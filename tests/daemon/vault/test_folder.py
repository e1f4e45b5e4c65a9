"""Whose the files are, how open they are, and who holds the lock."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aixtivd.errors import StoreFailed
from aixtivd.vault.folder import read_plain, reason
from peers.disks import small_disk
from peers.presence import absent
from peers.vaults import crashed, image, names, opened, row, vault_in


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


async def a_store(folder: Path) -> None:
    async with opened(folder) as vault:
        await vault.journal.commit(row(1), None)


async def refused(folder: Path) -> StoreFailed:
    """The failure, after it was seen that nothing changed."""
    before = image(folder)
    with pytest.raises(StoreFailed) as failure:
        await vault_in(folder).open()
    assert image(folder) == before
    return failure.value


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
async def test_everything_is_private_whatever_the_umask(folder: Path, mask: int) -> None:
    """Root can write what has no write bit, so 0277 works here too."""
    if mask == 0o277 and os.geteuid():
        absent("only root can work under umask 0277")
    home = folder / "state" / "aixtiv"
    with umask(mask):
        async with opened(home) as vault:
            await vault.journal.commit(row(1), None)
            modes = {path.name: path.stat().st_mode & 0o077 for path in home.iterdir()}
    assert set(modes) == {"key", "spill", "store.db", "store.db-wal", "store.lock"}
    assert set(modes.values()) == {0}
    assert home.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o601, 0o666])
async def test_a_store_that_is_too_open_is_refused(folder: Path, mode: int) -> None:
    await a_store(folder)
    (folder / "store.db").chmod(mode)
    failure = await refused(folder)
    assert failure.sentence == f"the store {folder}/store.db is open to others (mode {mode:04o})"
    assert failure.hint == f"chmod 600 {folder}/store.db"


@pytest.mark.parametrize("mode", [0o710, 0o701, 0o750, 0o755, 0o777])
async def test_a_folder_that_is_too_open_is_refused(folder: Path, mode: int) -> None:
    await a_store(folder)
    os.chmod(folder, mode)  # noqa: PTH101  # ruff takes a folder called so for a blocking pathlib call
    failure = await refused(folder)
    assert failure.sentence == f"the folder {folder} is open to others (mode {mode:04o})"
    assert failure.hint == f"chmod 700 {folder}"


@pytest.mark.parametrize(("name", "what"), [("spill", "the spill slot"), ("store.lock", "the lock file")])
async def test_its_other_files_must_be_private_too(folder: Path, name: str, what: str) -> None:
    await a_store(folder)
    (folder / name).chmod(0o644)
    assert (await refused(folder)).sentence == f"{what} {folder}/{name} is open to others (mode 0644)"


async def test_a_wal_that_is_too_open_is_refused(folder: Path) -> None:
    await a_store(folder)
    (folder / "store.db-wal").touch(0o644)
    assert "the store's WAL" in (await refused(folder)).sentence


async def test_a_store_of_another_user_is_refused(folder: Path) -> None:
    await a_store(folder)
    try:
        os.chown(folder / "store.db", 12345, -1)
    except PermissionError:
        absent("only root can give a file away")
    failure = await refused(folder)
    assert failure.sentence == f"the store {folder}/store.db belongs to another user (uid 12345)"
    assert failure.hint == f"chown {os.geteuid()} {folder}/store.db"


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "socket"])
async def test_a_store_that_is_not_a_plain_file_is_refused(folder: Path, kind: str) -> None:
    path = folder / "store.db"
    await a_store(folder)
    path.rename(folder / "elsewhere")
    match kind:
        case "link":
            path.symlink_to(folder / "elsewhere")
        case "dangling":
            path.symlink_to(folder / "nowhere")
        case "folder":
            path.mkdir()
        case _:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.close()
    assert (await refused(folder)).sentence == f"the store {path} is not a plain file"


@pytest.mark.parametrize("name", ["store.db", "store.db-wal", "store.db-journal", "spill", "store.lock"])
async def test_a_pipe_in_a_files_place_is_a_sentence_and_waits_for_nobody(folder: Path, name: str) -> None:
    await a_store(folder)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name, 0o600)
    assert (await refused(folder)).sentence.endswith(f"{folder}/{name} is not a plain file")


async def test_a_pipe_in_the_keys_place_leaves_the_vault_locked(folder: Path) -> None:
    await a_store(folder)
    (folder / "key").unlink()
    os.mkfifo(folder / "key", 0o600)
    async with opened(folder) as vault:
        assert vault.lock_reason == f"the key file {folder}/key is not a plain file"


def test_what_became_a_pipe_after_it_was_looked_at_waits_for_nobody(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(OSError) as failure:  # noqa: PT011  # its words are what is looked at
        read_plain(folder / "pipe", 9)
    assert reason(failure.value) == "it is not a plain file"


async def test_a_folder_may_have_any_name(folder: Path) -> None:
    """SQLite is given a URI, in which some of these mean something."""
    home = folder / "a?mode=memory&b#c%20d é"
    await a_store(home)
    assert {path.name for path in home.iterdir()} == {"key", "spill", "store.db", "store.lock"}
    async with opened(home) as vault:
        assert await vault.rows() == [row(1)]
        copy = crashed(home, folder / "crashed?nolock=1")
    async with opened(copy) as vault:
        assert await vault.rows() == [row(1)]


async def test_a_path_with_spaces_is_quoted_in_the_hint(folder: Path) -> None:
    home = folder / "my state"
    await a_store(home)
    (home / "store.db").chmod(0o644)
    assert (await refused(home)).hint == f"chmod 600 '{home}/store.db'"


async def test_a_second_daemon_is_refused_and_the_first_goes_on(folder: Path) -> None:
    async with opened(folder) as first:
        with pytest.raises(StoreFailed) as failure:
            await vault_in(folder).open()
        assert failure.value.sentence == (
            f"another daemon (process {os.getpid()}) has the store {folder}/store.db open"
        )
        assert await first.journal.commit(row(1), None)
    async with opened(folder) as second:
        assert await second.rows() == [row(1)]


async def test_a_locked_vault_still_keeps_other_daemons_out(folder: Path) -> None:
    async with opened(folder) as first:
        await first.lock()
        with pytest.raises(StoreFailed, match="another daemon"):
            await vault_in(folder).open()


async def test_a_refused_vault_holds_no_lock(folder: Path) -> None:
    await a_store(folder)
    good = (folder / "store.db").read_bytes()
    (folder / "store.db").write_bytes(b"this is no database at all, but it is long enough to be looked at" * 20)
    await refused(folder)
    (folder / "store.db").write_bytes(good)
    async with opened(folder) as vault:
        assert await vault.rows() == [row(1)]


async def test_a_folder_that_cannot_be_made_is_a_sentence(folder: Path) -> None:
    (folder / "file").touch()
    vault = vault_in(folder / "file" / "state")
    with pytest.raises(StoreFailed) as failure:
        await vault.open()
    assert failure.value.sentence == f"the folder {folder}/file/state cannot be used: not a directory"


async def test_a_read_only_disk_is_a_sentence(folder: Path) -> None:
    with small_disk(folder) as disk:
        await a_store(disk.home)
        disk.make_read_only()
        failure = await refused(disk.home)
        assert failure.sentence == f"the lock file {disk.home}/store.lock cannot be opened: read-only file system"


async def test_on_a_full_disk_no_key_is_made_and_the_vault_stays_locked(folder: Path) -> None:
    with small_disk(folder) as disk:
        disk.fill()
        async with opened(disk.home) as vault:
            assert vault.locked
            assert vault.lock_reason == f"the key file {disk.home}/key cannot be written: no space left on device"
            assert names(disk.home) == ["store.lock"]
            disk.make_room()
            await vault.unlock()
            assert await vault.journal.commit(row(1), None)


async def test_on_a_full_disk_no_store_is_made(folder: Path) -> None:
    """As above, but the key was made before the disk filled up."""
    with small_disk(folder) as disk:
        await a_store(disk.home)
        for path in disk.home.glob("s*"):
            path.unlink()
        disk.fill()
        failure = await refused(disk.home)
        assert failure.sentence == f"the disk that holds {disk.home}/store.db is full"
        assert failure.hint == f"df -h {disk.home}"
        disk.make_room()
        async with opened(disk.home) as vault:
            assert await vault.journal.commit(row(1), None)
