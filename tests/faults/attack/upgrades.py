"""A store of an older format, which the next daemon upgrades: unharmed, killed on the way, on a disk that fails."""

import errno
from typing import Final

from faults.attack import kills, stores
from faults.attack.attack import Attack
from faults.attack.hostile import DIE, EVERY
from faults.attack.scene import NAMES, PASSPHRASE, Scene

FORMATS: Final = (1, 2)
CALLS: Final = 60  # that change a file, of a start


def upgrade(scene: Scene) -> None:
    """After an orderly stop or a refresh that was killed."""
    if scene.chance.random() < 0.5:
        kills.at_random(scene)
    else:
        scene.machine.stop()
    stores.make_older(scene.state, scene.chance.choice(FORMATS), PASSPHRASE)
    scene.hostile.forget()
    error = scene.chance.choice((0, DIE, DIE, errno.EIO, errno.ENOSPC))
    if error:
        scene.hostile.disk(
            scene.state, EVERY, error, after=scene.chance.randrange(CALLS), torn=scene.chance.random() < 0.5
        )
    scene.machine.spawn()
    scene.answering_or_dead()
    scene.refreshed(*NAMES)
    if error in {0, DIE} and scene.chance.random() < 0.5:  # what no disk took is in memory, and dies with it
        scene.kill()


ATTACKS: Final = (
    Attack(name="upgrade", says="an upgrade over an old store format, killed, EIO, no room", act=upgrade),
)
