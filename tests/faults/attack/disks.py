"""A disk that is full, that fails, or that can only be read."""

import errno
from contextlib import suppress
from typing import Final

from faults.attack.attack import Attack
from faults.attack.hostile import ALWAYS, EVERY, Op
from faults.attack.scene import NAMES, Scene, Setting

CALLS: Final = 60  # that change a file: those of three refreshes, and some
MOMENT: Final = 0.05


def full(scene: Scene) -> None:
    """Really: a small disk fills up behind the requests, or before them; and there is room again, or a new daemon."""
    assert scene.disk
    if scene.chance.random() < 0.3:
        scene.disk.fill()
        scene.refreshed()
    else:
        with scene.answers_kept_back():
            scene.disk.fill()
            scene.server.release()
            scene.moment(MOMENT)
    match scene.chance.randrange(4):
        case 0:
            scene.disk.make_room()
        case 1:
            scene.restart()  # in order, on the full disk
        case 2:
            scene.refreshed()
        case _:
            with suppress(OSError):
                scene.machine.run("lock")


def full_at_a_call(scene: Scene) -> None:
    """From the n-th call on there is no room, or for a few calls; in the slot, which was reserved, there always is."""
    ops = Op.WRITE | Op.ALLOCATE | Op.TRUNCATE | Op.OPEN
    times = scene.chance.choice((1, 2, 5, ALWAYS))
    scene.hostile.disk(
        scene.state,
        ops,
        errno.ENOSPC,
        after=scene.chance.randrange(CALLS),
        times=times,
        spare=scene.slot,
        torn=_half(scene),
    )
    scene.refreshed(*NAMES)
    if scene.chance.random() < 0.5:
        scene.kill()


def failing(scene: Scene) -> None:
    """EIO at the n-th call, of any kind, once or for a while; neither store nor slot is spared."""
    times = scene.chance.choice((1, 3, 10, ALWAYS))
    scene.hostile.disk(
        scene.state, EVERY, errno.EIO, after=scene.chance.randrange(CALLS), times=times, torn=_half(scene)
    )
    scene.refreshed(*NAMES)
    scene.refreshed()


def failing_but_for_the_slot(scene: Scene) -> None:
    """EIO in the store from the n-th call on, and then the process dies."""
    after, torn = scene.chance.randrange(CALLS), _half(scene)
    scene.hostile.disk(scene.state, EVERY, errno.EIO, after=after, spare=scene.slot, torn=torn)
    scene.refreshed(*NAMES)
    scene.kill()


def syncs_fail(scene: Scene) -> None:
    """What was written is not kept: fsync says so, at the n-th call."""
    times = scene.chance.choice((1, 2, ALWAYS))
    scene.hostile.disk(scene.state, Op.SYNC, errno.EIO, after=scene.chance.randrange(12), times=times)
    scene.refreshed(*NAMES)
    scene.refreshed()


def read_only(scene: Scene) -> None:
    """The file system was mounted read-only meanwhile: under a running daemon, or under one that starts."""
    with scene.answers_kept_back():
        scene.hostile.disk(scene.state, EVERY, errno.EROFS, spare=scene.slot if scene.chance.random() < 0.5 else None)
        scene.server.release()
        scene.moment(MOMENT)
    scene.refreshed()


def read_only_from_the_start(scene: Scene) -> None:
    scene.machine.stop()
    scene.hostile.forget()
    scene.hostile.disk(scene.state, EVERY, errno.EROFS)
    scene.machine.spawn()
    scene.answering_or_dead()
    scene.refreshed(*NAMES)


def _half(scene: Scene) -> bool:
    return scene.chance.random() < 0.5


ATTACKS: Final = (
    Attack(name="full-disk", says="a small disk that is really full", act=full, setting=Setting(disk=True), root=True),
    Attack(
        name="full-call", says="no room from the n-th write on, then perhaps SIGKILL", act=full_at_a_call, rounds=10
    ),
    Attack(name="eio", says="EIO at the n-th call, in store, slot and log", act=failing, rounds=10),
    Attack(
        name="eio-kill", says="EIO from the n-th call on, but in the slot; then SIGKILL", act=failing_but_for_the_slot
    ),
    Attack(name="fsync", says="fsync fails at the n-th call", act=syncs_fail),
    Attack(name="read-only", says="the store can only be read, all at once", act=read_only),
    Attack(
        name="read-only-start", says="a daemon starts on a store that can only be read", act=read_only_from_the_start
    ),
)
