"""What somebody asked for who then hung up: what changes something is done, and in the audit log; nothing else is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, get_args

import anyio
import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import Request
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.restoring import Restored
from aixtivd.errors import KeyFailed
from aixtivd.ipc import record
from aixtivd.ipc.dispatch import KEPT
from aixtivd.vault.backup import Content
from aixtivd.vault.resealing import Seals
from peers.held import PATIENCE, Side, serving

IN_ITS_TURN: Final = {requests.KeyRotate, requests.KeyMove, requests.Restore}
CUT: Final = {
    requests.Token,
    requests.HostToken,
    requests.Refresh,
    requests.Login,
    requests.Callback,
    requests.Ticket,
    requests.Export,
}
"""Recorded where they are answered: before that nothing has left the daemon, or `accounts.events` tells it."""

LOOKING: Final = {
    requests.Hello,
    requests.Accounts,
    requests.Status,
    requests.Verify,
    requests.Tickets,
    requests.Audit,  # which begins a new one in a record of its own
    requests.Usage,
    requests.Examine,
    requests.Watch,
    requests.Generations,
    requests.Metrics,
    requests.Explain,
    requests.KeyCheck,  # but that a passphrase was wrong
}
BY_THE_RELAY: Final = {requests.Relay, requests.Piece}


def test_of_every_request_it_is_said_here_whether_it_is_recorded_and_whether_a_hang_up_ends_it() -> None:
    groups = [set(KEPT), IN_ITS_TURN, CUT, LOOKING, BY_THE_RELAY]
    assert set().union(*groups) == set(get_args(Request))
    assert sum(map(len, groups)) == len(get_args(Request)), "each is in one of them"
    assert set(record._WHAT) == KEPT | IN_ITS_TURN | CUT


class Slow:
    """Takes the place of a part's method: it has begun, and goes on when it is let."""

    def __init__(self, result: Any) -> None:
        self.begun = anyio.Event()
        self.go = anyio.Event()
        self.done = False
        self._result = result

    async def __call__(self, *_: object, **__: object) -> Any:
        self.begun.set()
        await self.go.wait()
        self.done = True
        return self._result


async def hangs_up(side: Side, asked: Request, slow: Slow) -> list[Any]:
    """What the audit log was told in the end."""
    async with await side.caller() as caller:
        caller.say(asked)
        with anyio.fail_after(PATIENCE):
            await slow.begun.wait()
    with anyio.fail_after(PATIENCE):
        await side.listener.empty()
    assert side.notes.notes == []
    slow.go.set()
    await side.until(lambda: slow.done and side.notes.notes)
    return side.notes.said()


ACCOUNT = replies.Account(name="a", provider="x", kind="api-key", state="static")


@pytest.mark.parametrize(
    ("asked", "part", "method", "result", "said"),
    [
        (requests.Logout(account="a"), "accounts", "logout", replies.LoggedOut(account="a"), ("sign-out", "a", "")),
        (
            requests.ApiKey(account="a", key=Secret("k")),
            "accounts",
            "api_key",
            ACCOUNT,
            ("api-key", "a", "stored"),
        ),
        (requests.RevokeTicket(ticket="t1"), "drawer", "revoke", 1, ("ticket-end", "", "t1 was revoked")),
        (requests.Reload(), "controls", "reload", "reloaded", ("reload", "", "")),
        (requests.Lock(), "accounts", "lock", None, ("lock", "", "")),
    ],
)
async def test_what_changes_something_goes_on_and_is_recorded_though_its_caller_hung_up(
    folder: Path, asked: Request, part: str, method: str, result: object, said: tuple[str, str, str]
) -> None:
    async with serving(folder) as side:
        slow = Slow(result)
        setattr(getattr(side, part), method, slow)
        ((what, ok, account, detail),) = await hangs_up(side, asked, slow)
        assert (ok, (what, account, detail)) == (True, said)


async def at_rest(job: Any) -> Any:
    return await job()


async def test_so_is_a_rotation_of_the_key(folder: Path) -> None:
    async with serving(folder) as side:
        rotate = Slow(Seals(held=7, broken=0))
        vars(side.dispatch._keying).update(
            _vault=SimpleNamespace(rotate=rotate), _accounts=SimpleNamespace(at_rest=at_rest)
        )
        ((what, ok, _, detail),) = await hangs_up(side, requests.KeyRotate(), rotate)
        assert (what, ok, detail) == ("key", True, "a new data key; 7 seals were renewed")


async def test_so_is_a_restore(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aixtivd.vault.backup.unsealed", lambda *_: Content(1.0, ()))
    async with serving(folder) as side:
        restore = Slow(Restored(("a",), ()))
        monkeypatch.setattr(side.accounts, "restore", restore, raising=False)
        ((what, ok, _, detail),) = await hangs_up(side, requests.Restore(passphrase=Secret("p")), restore)
        assert (what, ok, detail) == ("restore", True, "a came back from a backup")


async def test_a_restore_whose_file_never_came_whole_is_none(folder: Path) -> None:
    async with serving(folder) as side:
        async with await side.caller() as caller:
            caller.say(requests.Restore(passphrase=Secret("p"), body=b"half", more=True))
            await side.until(lambda: side.dispatch._calls.leases.busy)
        await side.listener.empty()
        await side.until(lambda: not side.dispatch._calls.leases.busy)
        assert side.notes.notes == []


async def test_a_wrong_passphrase_is_recorded_wherever_it_is_tried(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        side.dispatch._keying.check = _refusing  # type: ignore[assignment,method-assign]  # in the part's place
        caller.say(requests.KeyCheck(passphrase=Secret("hunter2")))
        assert getattr(await caller.hear(), "code", "") == "key_failed"
        assert side.notes.said() == [("key", False, "", "that is not the passphrase")]


async def _refusing(_: requests.KeyCheck) -> replies.KeyChecked:
    raise KeyFailed("that is not the passphrase")
