"""The vault's key is exchanged, the vault locks by itself, the rules change: in the middle of refreshes."""

import errno
from signal import SIGHUP, SIGUSR1
from typing import Final

from aixtiv_protocol import requests
from aixtivd.host.faults import VARIABLE
from faults.attack.attack import Attack
from faults.attack.commands import MOMENT, STREAMING
from faults.attack.hostile import DIE, EVERY, Op
from faults.attack.scene import NAMES, PASSPHRASE, Scene, Setting

CALLS: Final = 80  # that change a file: those of a rotation, and some
LOOK: Final = 40.0  # seconds: a little more than between two of its looks
LONGEST: Final = 0.15  # seconds of a rotation
STEPS: Final = ("rotate-prepared", "rotate-begun", "rotate-row", "rotate-sealed", "rotate-committed", "rotate-folded")

_RULES: Final = (
    "[access]\ndefault = []\n",
    '[access]\ndefault = ["list", "relay"]\nrelay-only = ["*"]\n',
    '[[rule]]\naccounts = ["a*"]\nallow = ["token"]\n[[rule]]\nallow = ["manage"]\n',
    '[[rule]]\nwho = { executable = "/usr/bin/*" }\nallow = ["relay"]\npaths = ["/v1/messages"]\n',
)


def rotate(scene: Scene) -> None:
    """In the middle of refreshes and streams, whose answers come before, meanwhile or after."""
    with scene.streams(), scene.answers_kept_back(), scene.asked(_rotation(scene)) as talks:
        scene.moment(MOMENT)
        scene.server.release()
        scene.heard(talks)
    scene.refreshed()


def rotate_and_hang_up(scene: Scene) -> None:
    """The command goes while its rotation waits for a refresh: what waits for the rotation goes on."""
    with scene.answers_kept_back():
        with scene.asked(_rotation(scene)):
            scene.moment(MOMENT)
        scene.moment(MOMENT)
        scene.server.release()
    scene.refreshed(*NAMES)


def rotate_killed(scene: Scene) -> None:
    """And killed: at a random instant, at a named step, at the n-th call that changes a file."""
    rotation = _rotation(scene)
    match scene.chance.randrange(3):
        case 0:
            scene.in_a_moment(LONGEST, scene.kill)
        case 1:
            times = scene.chance.randint(1, 2)
            scene.restart(**{VARIABLE: f"{scene.chance.choice(STEPS)}:{times}"})
        case _:
            after, torn = scene.chance.randrange(CALLS), scene.chance.random() < 0.5
            scene.hostile.disk(scene.state, EVERY, DIE, after=after, torn=torn)
    with scene.refreshing(), scene.asked(rotation) as talks:
        scene.heard(talks)
    scene.kill()


def rotate_on_a_bad_disk(scene: Scene) -> None:
    """No room, or EIO, at the n-th call of it."""
    error, ops = scene.chance.choice(
        ((errno.ENOSPC, Op.WRITE | Op.ALLOCATE | Op.TRUNCATE | Op.OPEN), (errno.EIO, EVERY), (errno.EIO, Op.SYNC))
    )
    rotation, after = _rotation(scene), scene.chance.randrange(CALLS)
    scene.hostile.disk(scene.state, ops, error, after=after, times=scene.chance.choice((1, 5, -1)), spare=scene.slot)
    with scene.refreshing(), scene.asked(rotation) as talks:
        scene.heard(talks)
    if scene.chance.random() < 0.5:
        scene.kill()


def move(scene: Scene) -> None:
    """To a passphrase, or back to a file; perhaps killed, perhaps on a disk that fails."""
    to = scene.chance.choice(("passphrase", "file"))
    asked = requests.KeyMove(to=to, passphrase=scene.passphrase, new_passphrase=PASSPHRASE)  # type: ignore[arg-type]  # one of two words
    after = scene.chance.randrange(CALLS)
    match scene.chance.randrange(4):
        case 0:
            scene.in_a_moment(2 * LONGEST, scene.kill)
        case 1:
            scene.hostile.disk(scene.state, EVERY, DIE, after=after)
        case 2:
            scene.hostile.disk(scene.state, EVERY, errno.EIO, after=after, times=1, spare=scene.slot)
        case _:
            pass
    with scene.refreshing(), scene.asked(asked) as talks:
        scene.heard(talks)
    if scene.chance.random() < 0.7:
        scene.kill()


def lock_by_signal(scene: Scene) -> None:
    """SIGUSR1, in the middle of refreshes and streams."""
    with scene.streams(), scene.answers_kept_back():
        scene.machine.signal(SIGUSR1)
        scene.moment(MOMENT)
        scene.server.release()
        scene.locked()


def lock_by_itself(scene: Scene) -> None:
    """After a minute in which nobody wanted anything, while refreshes are under way."""
    with scene.answers_kept_back():
        pass  # they hang up, and the refreshes go on
    for _ in range(4):  # it looks now and then, and counts from the look that found nothing new
        scene.hostile.jump(wall=LOOK, steady=LOOK, awake=LOOK)
        scene.status()  # wakes it, and is no use of the vault
    scene.moment(MOMENT)
    scene.server.release()
    if scene.chance.random() < 0.2:
        scene.moment(MOMENT)
        scene.kill()
    else:
        scene.locked()


def rules(scene: Scene) -> None:
    """Others at each reload, in the middle of refreshes and streams that were allowed when they began."""
    with scene.streams(), scene.answers_kept_back():
        before = len(scene.machine.logged("reloaded"))
        scene.configure(scene.chance.choice(_RULES))
        scene.reload()
        scene.moment(MOMENT)
        scene.server.release()
        scene.refreshed(*NAMES)
    scene.configure()
    scene.machine.signal(SIGHUP)  # who may do nothing cannot ask for a reload
    scene.wait_for_log("reloaded", before + 2)


def _rotation(scene: Scene) -> requests.KeyRotate:
    return requests.KeyRotate(passphrase=scene.passphrase)


ATTACKS: Final = (
    Attack(name="rotate", says="key rotate amid a refresh and a stream", act=rotate, setting=STREAMING),
    Attack(name="rotate-kill", says="key rotate, and SIGKILL at any place of it", act=rotate_killed, rounds=10),
    Attack(name="rotate-left", says="key rotate, whose caller hangs up while a refresh hangs", act=rotate_and_hang_up),
    Attack(name="rotate-disk", says="key rotate on a disk that is full or fails", act=rotate_on_a_bad_disk, rounds=10),
    Attack(name="key-move", says="key move, SIGKILL and EIO at any place of it", act=move, setting=Setting(key="auto")),
    Attack(name="lock-signal", says="SIGUSR1 amid a refresh and a stream", act=lock_by_signal, setting=STREAMING),
    Attack(
        name="auto-lock",
        says="the vault locks by itself amid a refresh",
        act=lock_by_itself,
        setting=Setting(config="lock-after = 1\n"),
    ),
    Attack(name="rules", says="other rules at a reload amid a refresh and a stream", act=rules, setting=STREAMING),
)
