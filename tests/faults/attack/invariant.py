"""The one invariant: every grant works whose newest refresh token reached the daemon in full, and nothing is erased."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from aixtiv_protocol import replies, requests
from aixtivd.accounts.states import TRIES_PUNISHED
from faults.attack import stores
from faults.attack.scene import FORGIVING, NAMES, PASSPHRASE, Death, Scene, Violation
from peers.authority.process import Lineage

Verdict = Literal["survived", "lost by the server", "died with it in hand", "lost by us", "erased"]
VERDICTS: Final[tuple[Verdict, ...]] = (
    "survived",
    "lost by the server",
    "died with it in hand",
    "lost by us",
    "erased",
)
TRIES: Final = 3  # a refresh that was under way when things were mended may fail yet
IN_HAND: Final = 0.1  # seconds; seen were 7 to 57 ms: who lived longer with an answer had the time to write it down

NEVER: Final = Death(float("inf"), float("inf"), frozenset())

_DEFECTS: Final = ("defect", "unhandled", "row-damaged", "intent-damaged", "unreadable-grant", "stray-intent", "lost")


class Found(Struct, frozen=True):
    """What a round did to one account."""

    account: str
    verdict: Verdict
    why: str = ""
    held: float = 0.0  # seconds for which the daemon had had the answer when it was killed


def judged(scene: Scene) -> list[Found]:
    """Every account of the scene, after everything was mended. Raises Violation for what is no account's own."""
    _check_the_daemon(scene)
    _check_old_keys(scene)
    _check_what_was_presented(scene)
    remaining = [name for name in NAMES if name not in scene.gone]
    works = _those_that_work(scene, remaining)
    scene.hostile.look()
    lineages = {name: _lineage(scene, name) for name in NAMES}
    listed = {account.name: account for account in scene.status().accounts}
    scene.gone |= {name for name in scene.leaving if name not in works}
    remaining = [name for name in remaining if name not in scene.gone]
    found = [_judged(scene, name, lineages[name], listed.get(name), works=name in works) for name in remaining]
    _check_the_gone(scene)
    scene.over()
    return found


def _check_the_daemon(scene: Scene) -> None:
    status = scene.status()
    if status.damaged:
        raise Violation(f"{status.damaged} records are damaged")
    for event in _DEFECTS:
        for line in scene.machine.logged(event):
            raise Violation(f"the daemon's log says {event}: {line}")
    for word in ("Traceback", '"exception"'):
        if word in scene.machine.log:
            raise Violation(f"the daemon's log holds a {word}")
    verdict = scene.machine.ask(requests.Audit(verify=True))
    if not isinstance(verdict, replies.AuditVerdict) or not verdict.intact:
        raise Violation(f"the audit log does not hold: {verdict}")


def _those_that_work(scene: Scene, names: Iterable[str]) -> set[str]:
    """Those of which a refresh, which a person asks for, brings a token that the server takes."""
    works: set[str] = set()
    for _ in range(TRIES):
        waiting = [name for name in names if name not in works]
        with scene.asked(*(requests.Refresh(account=name) for name in waiting)) as talks:
            heard = dict(zip(waiting, [talk.hear() for talk in talks], strict=True))
        works |= {name for name, reply in heard.items() if isinstance(reply, replies.Account) and _good(scene, name)}
    return works


def _lineage(scene: Scene, name: str) -> Lineage:
    """What came of the last sign-in whose answer reached the daemon."""
    found = scene.server.families(name)
    return next((one for one in reversed(found) if one.first in scene.hostile.reached), found[-1])


def _good(scene: Scene, name: str) -> bool:
    reply = scene.machine.ask(requests.Token(account=name))
    return isinstance(reply, replies.AccessToken) and scene.server.active(reply.access_token.reveal(), "native")


def _judged(scene: Scene, name: str, lineage: Lineage, account: replies.Account | None, *, works: bool) -> Found:
    if account is None:
        return Found(name, "erased", "there is no such account any more")
    if works:
        return Found(name, "survived")
    if scene.kind in FORGIVING:
        return Found(name, "lost by us", f"{account.problem or account.state}, at a server that {scene.kind}")
    reached = scene.hostile.reached.get(lineage.live)
    if reached is not None:
        death = next((death for death in scene.deaths if death.ended >= reached), NEVER)
        held, on_disk = max(0.0, death.at - reached), lineage.live in death.kept
        told = reached <= scene.told.get(name, 0.0) <= death.ended
        if held <= IN_HAND and not on_disk and not told:
            return _told(Found(name, "died with it in hand", account.problem, held), account)
        had = f"it had the answer for {held:.3f} s before it died, on disk: {on_disk}, told: {told}"
        return Found(name, "lost by us", f"{account.problem or account.state}; {had}")
    return _told(Found(name, "lost by the server", account.problem), account)


def _told(found: Found, account: replies.Account) -> Found:
    """What is lost is put aside with a sentence and a command, and kept."""
    if account.state == "quarantined" and account.problem and account.hint:
        return found
    return Found(
        found.account, "lost by us", f"not put aside, but {account.state}: {account.problem!r} {account.hint!r}"
    )


def _check_what_was_presented(scene: Scene) -> None:
    """No refresh token is spent before that is on disk, nor oftener than a server that punishes reuse may see it."""
    scene.hostile.look()
    for death in scene.new_deaths:
        presented = {one.token for one in scene.hostile.presented if one.pid == death.pid}
        on_record = {*death.disk.begun.values(), *death.disk.aside}
        if scene.kind != "does not rotate" and (presented & death.kept) - on_record:
            raise Violation("a refresh token was presented, and neither that nor its successor was on disk")
    if scene.kind == "is known to punish reuse":
        often = Counter(one.token for one in scene.hostile.presented if one.at > scene.began)
        most = max(1, *scene.asks.values(), 0) + TRIES_PUNISHED - 1
        if max(often.values(), default=0) > most:
            raise Violation(f"a refresh token was presented {max(often.values())} times, of which {most} are allowed")


def _check_old_keys(scene: Scene) -> None:
    """After the data key was exchanged, nothing lies in the store's files that the old one opens."""
    before, present = scene.sealed, stores.seals(scene.state, scene.folder)
    if before is None or before.wrapped == present.wrapped:
        return
    if scene.new_deaths or scene.machine.logged("wal-not-folded"):
        scene.restart()  # the WAL is folded at the end
    if files := stores.left(scene.state, before):
        raise Violation(f"{', '.join(files)}: something lies there yet that the old data key opens")


def _check_the_gone(scene: Scene) -> None:
    """Not after another start either; and nothing of them is on the disk."""
    if not (scene.gone or scene.leaving):
        return
    scene.machine.stop()
    scene.hostile.end(scene.state)
    disk = stores.kept(scene.state, scene.folder, PASSPHRASE)
    scene.start()
    listed = {account.name for account in scene.status().accounts}
    if back := (scene.gone - scene.leaving) & listed:
        raise Violation(f"{', '.join(back)} came back after a logout")
    if there := (scene.gone - listed) & disk.names:
        raise Violation(f"{', '.join(there)} is signed out, and something of it lies on the disk")
    if disk.strays:
        raise Violation(f"{', '.join(disk.strays)}: something lies there of an account that was signed out")
