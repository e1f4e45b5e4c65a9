"""Tickets that last: sealed in the store as hashes, there again after a restart, a kill, a lock and a full disk."""

import subprocess
from pathlib import Path

import anyio
import msgspec
import pytest

from aixtiv_protocol.secret import Secret
from aixtivd.access.ticket import digest
from aixtivd.access.tickets import PREFIX
from aixtivd.errors import Locked, StoreFailed
from peers.clock import FakeClock, limit
from peers.disks import small_disk
from peers.leaks import files_under, leaks
from peers.office import Office, office
from peers.vaults import crashed, image, inside


async def test_what_nobody_holds_survives_a_restart_and_the_rest_does_not(folder: Path) -> None:
    clock = FakeClock()
    async with office(folder, clock) as here:
        lasting, one = await here.make("github", holder="none", name="profile", verbs=("token",))
        timed, two = await here.make(holder="none", ttl=3600)
        _, short = await here.make(holder="none", ttl=60)
        _, mine = await here.make()
    clock.advance(1800)
    async with office(folder, clock) as again:
        assert again.tickets.check(one, "token") == lasting
        assert again.tickets.check(two, "relay") == timed
        for gone in (short, mine):
            assert again.refusal(gone) == "that is no ticket of this daemon's"
        assert [shown.id for shown in again.tickets.shown()] == [lasting.id, timed.id]
        again.clock.advance(1801)
        assert "expired" in again.refusal(two)


async def test_a_kill_after_a_ticket_was_handed_out_does_not_lose_it(folder: Path) -> None:
    async with office(folder) as here:
        held, ticket = await here.make(holder="none")
        copy = crashed(folder)
    async with office(copy) as again:
        assert again.tickets.check(ticket, "relay") == held


async def test_neither_ticket_nor_hash_nor_name_can_be_read_on_disk(folder: Path) -> None:
    async with office(folder) as here:
        _, ticket = await here.make("github/personal-account", holder="none", name="for-the-notebook")
        hash_ = digest(ticket)
        places = files_under(folder)
        assert leaks([ticket.reveal().removeprefix(PREFIX), "for-the-notebook", "github/personal"], places) == []
        assert not any(hash_ in content or hash_.hex().encode() in content for content in places.values())


async def test_before_the_lasting_ones_are_known_a_ticket_is_locked_and_not_wrong(folder: Path) -> None:
    async with office(folder) as here:
        _, ticket = await here.make(holder="none")
    async with office(folder, started=False) as again:
        assert again.refusal(ticket).startswith("the vault is locked")
        for word in ("anything", ""):
            with pytest.raises(Locked):
                await again.tickets.revoke(word)
        with pytest.raises(Locked):
            await again.make(holder="none")
        held, own = await again.make()
        assert again.tickets.check(own, "relay") == held
        await again.tickets.start()
        again.tickets.check(ticket, "relay")
        again.tickets.check(own, "relay")


async def test_locking_keeps_tickets_and_makes_no_lasting_ones(folder: Path, child: subprocess.Popen[bytes]) -> None:
    async with office(folder) as here:
        kept, ticket = await here.make(holder="none", name="profile")
        held, _ = await here.make(pid=child.pid)
        await here.vault.lock()
        here.tickets.check(ticket, "relay")
        with pytest.raises(Locked):
            await here.make(holder="none", ttl=60)
        with pytest.raises(Locked, match="cannot be revoked"):
            await here.tickets.revoke("profile")
        assert len(here.tickets.shown()) == 2
        child.kill()
        async with limit(10):
            await here.heard.wait()
        assert here.ended == [held.id]
        await here.vault.unlock()
        await here.tickets.start()
        assert [shown.id for shown in here.tickets.shown()] == [kept.id]
        assert await here.tickets.revoke("profile") == 1


async def test_on_a_full_disk_a_ticket_with_a_limit_is_good_and_one_without_is_not_made(folder: Path) -> None:
    clock = FakeClock()
    with small_disk(folder) as disk:
        async with office(disk.home, clock) as here:
            _, before = await here.make(holder="none", name="before")
            disk.fill()
            names = [f"{number}".ljust(100, "x") for number in range(200)]  # more than the WAL has room for
            made = [(await here.make(holder="none", ttl=3600, name=name))[1] for name in names]
            here.tickets.check(made[-1], "relay")
            with pytest.raises(StoreFailed, match="is full"):
                await here.make(holder="none")
            assert len(here.tickets.shown()) == 201
            with pytest.raises(StoreFailed, match="it is over, but the store does not know it yet") as failure:
                await here.tickets.revoke("before")
            assert "is full" in failure.value.sentence
            assert "revoked" in here.refusal(before)
            disk.make_room()
            _, after = await here.make(holder="none")
        async with office(disk.home, clock) as again:
            for ticket in (*made, after):
                again.tickets.check(ticket, "relay")
            assert again.refusal(before) == "that is no ticket of this daemon's"


async def test_a_list_that_was_put_back_lets_nobody_in(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with office(folder) as here:
        _, ticket = await here.make(holder="none")
    with inside(folder) as db:
        db.execute("UPDATE notes SET generation = generation + 1")
    before = image(folder)
    async with office(folder) as again:
        assert again.refusal(ticket) == "that is no ticket of this daemon's"
        assert "tickets-damaged" in caplog.messages
    assert image(folder) == before
    async with office(folder) as again:
        _, new = await again.make(holder="none")
    async with office(folder) as once_more:
        once_more.tickets.check(new, "relay")


async def test_many_made_at_once_are_all_there_after_a_restart(folder: Path) -> None:
    made: list[Secret] = []
    async with office(folder) as here:

        async def one() -> None:
            made.append((await here.make(holder="none"))[1])

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(one)
    async with office(folder) as again:
        assert len([again.tickets.check(ticket, "relay") for ticket in made]) == 30


async def renamed(here: Office, account: str, to: str) -> bool:
    """As `Settling.relabel` does it: what the note says goes into the store with the account. Whether there was one."""
    async with here.tickets.renaming(account, to) as notes:
        for name, payload in notes.items():
            await here.vault.notes.write(name, payload)
    return bool(notes)


async def test_a_renamed_account_keeps_its_tickets_and_no_others(folder: Path) -> None:
    clock = FakeClock()
    async with office(folder, clock) as here:
        held, lasting = await here.make("github", holder="none")
        _, mine = await here.make("github")
        _, other = await here.make("gitlab", holder="none")
        assert await renamed(here, "github", "work")
        for ticket, account in ((lasting, "work"), (mine, "work"), (other, "gitlab")):
            assert here.tickets.check(ticket, "relay").account == account
    async with office(folder, clock) as again:
        assert again.tickets.check(lasting, "relay") == msgspec.structs.replace(held, account="work")
        assert again.tickets.check(other, "relay").account == "gitlab"
        assert not await renamed(again, "nobody", "somebody"), "nothing to write where it has none"


async def test_where_the_new_name_is_not_stored_the_tickets_stay_with_the_old_one(folder: Path) -> None:
    async with office(folder) as here:
        _, ticket = await here.make("github", holder="none")
        with pytest.raises(StoreFailed):
            async with here.tickets.renaming("github", "work"):
                raise StoreFailed("no room")
        assert here.tickets.check(ticket, "relay").account == "github"


async def test_tickets_that_are_not_known_are_not_left_behind_by_a_renaming(folder: Path) -> None:
    async with office(folder, started=False) as here:
        with pytest.raises(Locked):
            await renamed(here, "github", "work")
