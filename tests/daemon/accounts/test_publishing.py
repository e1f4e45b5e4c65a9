"""Files in which tools find a token: when they are written, what stands in them, and when they are gone."""

import json
import os
import stat
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Event
from typing import Literal

import anyio
import anyio.to_thread
import msgspec
import pytest

from aixtiv_protocol.requests import ApiKey, Logout, Rename, Unlock
from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import DAEMON, Caller
from aixtivd.accounts import publishing
from aixtivd.accounts.publishing import LIST
from aixtivd.config import AccessConfig, AccountConfig, Publish
from aixtivd.config.template import wrong
from aixtivd.host import deposit
from peers.clock import FakeClock
from peers.house import House, Opener, granted

Format = Literal["bare", "anthropic", "json"]


def published(
    path: Path,
    format: Format = "bare",  # noqa: A002  # the config's word
    template: str = "",
    name: str = "github",
) -> dict[str, AccountConfig]:
    return {name: AccountConfig(publish=Publish(path=str(path), format=format, template=template))}


async def aligned(h: House) -> None:
    await h.settle()
    await h.accounts.publishing.align()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_each_new_generation_is_written_ahead_of_the_end_of_the_one_before(house: Opener, folder: Path) -> None:
    clock, file = FakeClock(), folder / "tools/token"
    async with house(clock, account=published(file)) as h:
        assert not file.exists()
        await h.adopt("github")
        await aligned(h)
        assert (file.read_text(), mode(file), mode(file.parent)) == ("access-0\n", 0o600, 0o700)
        before = file.stat().st_ino
        h.script.answers = [granted(1)]
        clock.advance(3000)
        await h.settle()
        assert file.read_text() == "access-1\n", "by itself"
        assert file.stat().st_ino != before, "another file took its place: nobody reads half of one"
        assert [path.name for path in file.parent.iterdir()] == ["token"]


@pytest.mark.parametrize(
    ("format", "template", "text"),
    [
        ("bare", "", "access-0\n"),
        ("anthropic", "", '{"version":"1.0","type":"oauth_token","access_token":"access-0","expires_at":ENDS}\n'),
        ("json", '{"t": "{access_token}", "e": {expires_at}}', '{"t": "access-0", "e": ENDS}\n'),
        ("json", '["{token_type} {access_token}", "{account}"]', '["Bearer access-0", "github"]\n'),
        ("json", '{"x":"{access_token}","u":"{expires_at_iso}"}', '{"x":"access-0","u":"2027-01-15T09:00:00Z"}\n'),
    ],
)
async def test_the_formats(house: Opener, folder: Path, format: Format, template: str, text: str) -> None:  # noqa: A002
    file = folder / "token"
    async with house(account=published(file, format, template)) as h:
        grant = await h.adopt("github")
        await aligned(h)
        assert file.read_text() == text.replace("ENDS", str(int(grant.expires_at)))
        assert "refresh-0" not in file.read_text()


async def test_what_a_token_holds_is_text_and_nothing_else(house: Opener, folder: Path) -> None:
    file = folder / "token"
    async with house(account=published(file, "json", '{"a":"{access_token}","b":"{account}"}')) as h:
        await h.adopt("github")
        evil = '","b":"{account}\\\n\u2028{expires_at}'
        entry = h.accounts._book.named("github")
        entry.adopt(msgspec.structs.replace(entry.grant, access_token=Secret(evil)), h.clock)
        await aligned(h)
        assert json.loads(file.read_text()) == {"a": evil, "b": "github"}


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{}", "expected a JSON text in which {access_token} stands"),
        ('{"a": {access_token}}', "within quotes"),
        ('"{access_token}" x', "within quotes"),
        ('{"a":"{access_token}","b":"{refresh_token}"}', "{refresh_token} is not known"),
    ],
)
def test_a_template_that_would_be_no_json_or_more_than_a_token_is_refused(template: str, sentence: str) -> None:
    assert sentence in wrong(template)


async def test_a_lock_a_sign_out_and_another_name_take_it_away_before_they_are_answered(
    house: Opener, folder: Path
) -> None:
    file = folder / "token"
    async with house(account=published(file)) as h:
        await h.adopt("github")
        await aligned(h)
        await h.accounts.lock()
        assert not file.exists()
        await h.accounts.unlock(Unlock())
        await aligned(h)
        assert file.read_text() == "access-0\n"
        await h.accounts.rename(Rename(account="github", to="hub"))
        await aligned(h)
        assert not file.exists()
        await h.accounts.rename(Rename(account="hub", to="github"))
        await aligned(h)
        assert file.exists()
        await h.accounts.logout(Logout(account="github"))
        assert not file.exists()


async def test_a_reload_moves_it_and_one_that_is_named_no_more_goes(house: Opener, folder: Path) -> None:
    one, other = folder / "one", folder / "other"
    async with house(account=published(one)) as h:
        await h.adopt("github")
        await aligned(h)
        h.accounts.reconfigure(h.config(account=published(other)))
        await aligned(h)
        assert (one.exists(), other.read_text()) == (False, "access-0\n")
        h.accounts.reconfigure(h.config(account={}))
        await aligned(h)
        assert not other.exists()


async def test_at_the_end_it_goes_and_after_a_crash_the_next_start_tidies_up(house: Opener, folder: Path) -> None:
    one, other = folder / "one", folder / "other"
    async with house(account=published(one)) as h:
        await h.adopt("github")
        await aligned(h)
    assert one.exists(), "nobody withdrew it: that was a crash"
    async with house(account=published(other)) as h:
        await aligned(h)
        assert (one.exists(), other.read_text()) == (False, "access-0\n")
        await h.accounts.publishing.withdraw()
        assert not other.exists()


async def test_no_token_is_written_that_would_be_good_for_ever_or_may_be_shown_to_nobody(
    house: Opener, folder: Path
) -> None:
    file = folder / "token"
    async with house(account=published(file), access=AccessConfig(relay_only=("git*",))) as h:
        await h.adopt("github")
        await aligned(h)
        assert not file.exists()
        assert h.accounts.publishing.problem == f"{file}: its account is relay-only, whose token is shown to nobody"
        h.accounts.reconfigure(h.config(account=published(file), access=AccessConfig()))
        await aligned(h)
        assert (file.exists(), h.accounts.publishing.problem) == (True, "")
        await h.accounts.api_key(ApiKey(account="key", key=Secret("k-1")))
        h.accounts.reconfigure(h.config(account=published(file, name="key"), access=AccessConfig()))
        await aligned(h)
        assert not file.exists()
        assert "is an API key" in h.accounts.publishing.problem


async def test_a_file_that_is_not_ours_is_neither_replaced_nor_removed(house: Opener, folder: Path) -> None:
    file = folder / "token"
    file.write_text("the person's own")
    async with house(account=published(file)) as h:
        await h.adopt("github")
        await aligned(h)
        assert file.read_text() == "the person's own"
        assert h.accounts.publishing.problem == f"{file}: a file is there that aixtiv did not write"
        file.unlink()
        await aligned(h)
        assert file.read_text() == "access-0\n"
        file.write_text("written over")
        await h.accounts.lock()
        assert file.read_text() == "written over"


def linked_file(folder: Path) -> Path:
    (folder / "real").write_text("mine")
    (folder / "token").symlink_to(folder / "real")
    return folder / "token"


def linked_folder(folder: Path) -> Path:
    (folder / "real").mkdir(mode=0o700)
    (folder / "way").symlink_to(folder / "real")
    return folder / "way/token"


def open_folder(folder: Path) -> Path:
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    return folder / "open/token"


def sticky_folder(folder: Path) -> Path:
    open_folder(folder)
    (folder / "open").chmod(0o1777)
    return folder / "open/token"


def below_open(folder: Path) -> Path:
    open_folder(folder)
    (folder / "open/inner").mkdir(mode=0o700)
    return folder / "open/inner/token"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "token")
    return folder / "token"


def a_file_above(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file/token"


def a_list_that_may_not_be_read(folder: Path) -> Path:
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    (folder / "state" / LIST).mkdir()
    return folder / "token"


def holding(folder: Path, secret: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (linked_file, "token: what is there is no plain file of yours"),
        (linked_folder, "way: it is a link, and a token is put through none"),
        (open_folder, "open: others can write in that folder"),
        (sticky_folder, "open: others can write in that folder"),
        (below_open, "open: others can write in that folder"),
        (fifo, "token: what is there is no plain file of yours"),
        (a_file_above, "file/token: it cannot be written: not a directory"),
        (a_list_that_may_not_be_read, "state/published: what is there is no plain file of yours"),
    ],
)
async def test_through_no_link_and_into_no_folder_that_others_write(
    house: Opener, folder: Path, made: Callable[[Path], Path], why: str
) -> None:
    file = made(folder)
    async with house(account=published(file)) as h:
        await h.adopt("github")
        await aligned(h)
        assert h.accounts.publishing.problem == f"{folder}/{why}"
        h.script.answers = [granted(1)]
        h.clock.advance(3000)
        await h.settle()
        assert await h.token("github") == "access-1", "a refresh does not mind"
    assert holding(folder, b"access-") == []


async def test_the_list_beside_the_store_holds_no_token(house: Opener, folder: Path) -> None:
    async with house(account=published(folder / "token")) as h:
        await h.adopt("github")
        await aligned(h)
        kept = folder / "state" / LIST
        assert (mode(kept), "access-0" in kept.read_text()) == (0o600, False)
        assert list(json.loads(kept.read_text())) == [str(folder / "token")]


async def test_without_anything_to_publish_there_is_no_list(house: Opener, folder: Path) -> None:
    async with house() as h:
        await h.adopt("github")
        await aligned(h)
        assert not (folder / "state" / LIST).exists()


async def test_where_nothing_can_be_made_the_daemon_lives_and_a_lock_is_whole(house: Opener) -> None:
    file = Path("/proc/x/token")  # mkdir(2) there: ENOENT
    async with house(account=published(file)) as h:
        await h.adopt("github")
        await aligned(h)
        assert h.accounts.publishing.problem == f"{file}: it cannot be written: no such file or directory"
        await h.accounts.lock()
        assert h.vault.locked


async def test_whatever_fails_on_the_way_the_vault_is_locked(house: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as h:

        async def fails() -> None:
            raise RuntimeError("a defect")

        monkeypatch.setattr(h.accounts._locking, "closed", [fails])
        with pytest.raises(RuntimeError):
            await h.accounts.lock()
        assert h.vault.locked


async def test_a_draft_that_a_killed_daemon_left_goes(house: Opener, folder: Path) -> None:
    one, other = folder / "one", folder / "other"
    async with house(account=published(one)) as h:
        await h.adopt("github")
        await aligned(h)
    (folder / ".one.aixtiv").write_text("access-0\n")
    async with house(account=published(one)) as h:
        await aligned(h)
        assert holding(folder, b"access-") == [one], "also where the file itself is as it should be"
        (folder / ".one.aixtiv").write_text("access-0\n")
        h.accounts.reconfigure(h.config(account=published(other)))
        await aligned(h)
        assert holding(folder, b"access-") == [other]


async def test_a_lock_does_not_wait_for_a_disk_that_does_not_answer_and_the_file_goes_when_it_does(
    house: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, answers, asked, went = folder / "token", Event(), Event(), Event()
    take = deposit.take

    def hung(path: Path, ours: Collection[str]) -> None:
        asked.set()
        answers.wait()
        take(path, ours)
        went.set()

    async with house(account=published(file)) as h:
        await h.adopt("github")
        await aligned(h)
        monkeypatch.setattr(publishing, "_PATIENCE", 0.02)
        monkeypatch.setattr(deposit, "take", hung)
        await h.accounts.lock()
        assert (h.vault.locked, asked.is_set(), file.exists()) == (True, True, True)
        assert "does not answer" in h.accounts.publishing.problem
        answers.set()
        await anyio.to_thread.run_sync(went.wait)
        assert not file.exists()
        monkeypatch.setattr(publishing, "_PATIENCE", 5.0)
        await h.accounts.publishing.align()
        assert h.accounts.publishing.problem == ""


async def test_each_that_is_written_is_in_the_audit_once(
    house: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[tuple[object, ...]] = []

    def note(what: str, caller: Caller, **facts: object) -> None:
        if what == "token":
            noted.append((caller, *facts.values()))

    async with house(account=published(folder / "token")) as h:
        monkeypatch.setattr(h.audit, "note", note)
        await h.adopt("github")
        await aligned(h)
        await aligned(h)
        assert noted == [(DAEMON, "github", "published in a file")]
