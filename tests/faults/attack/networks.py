"""No network, names that do not resolve or hang, no descriptors left."""

import errno
from contextlib import suppress
from typing import Final

from aixtiv_protocol import requests
from faults.attack.attack import Attack
from faults.attack.scene import NAMES, Scene, Setting
from peers.waiting import until

MOMENT: Final = 0.3
CACHED: Final = 15.0  # seconds: a little longer than aiohttp remembers a name
NAMED: Final = Setting(config="[refresh]\ntimeout = 1\n", named=True)


def unreachable(scene: Scene) -> None:
    """No network, then network: in the middle of refreshes, and before them."""
    with scene.refreshing() as talks:
        scene.moment(0.03)
        scene.hostile.put("unreachable", scene.chance.choice((errno.ENETUNREACH, errno.ECONNREFUSED, errno.ETIMEDOUT)))
        scene.heard(talks)
    scene.refreshed()
    if scene.chance.random() < 0.5:
        scene.kill()
        scene.hostile.forget()
        scene.start()
        scene.refreshed()


def names_hang(scene: Scene) -> None:
    """DNS takes longer than anybody waits; or says for a while that there is no such name."""
    before = scene.hostile.get("lookups")
    scene.hostile.jump(wall=CACHED, steady=CACHED, awake=CACHED)
    scene.hostile.put("lookup", scene.chance.choice((1, 1, 2)))
    with scene.refreshing(*NAMES) as talks:
        until(lambda: scene.hostile.get("lookups") > before, "a name is looked up")
        scene.moment(1.5)
        if scene.chance.random() < 0.3:
            scene.kill()
        scene.hostile.put("lookup", 0)
        scene.heard(talks)


def no_descriptors(scene: Scene) -> None:
    """None left for the connection to the server, for a file, or for a caller; then some again."""
    waiting = [requests.Token(account=name, wait=0.1) for name in NAMES] * scene.chance.randint(0, 5)
    with scene.asked(*(requests.Hello() for _ in NAMES)) as talks:
        scene.heard(talks)  # they are connected
        scene.files(scene.chance.randint(10, 50))
        with suppress(TimeoutError), scene.asked(*waiting, timeout=1.0):
            for talk, name in zip(talks, NAMES, strict=True):
                talk.say(requests.Refresh(account=name))
            scene.moment(MOMENT)
            if scene.chance.random() < 0.3:
                scene.kill()


ATTACKS: Final = (
    Attack(name="no-network", says="no network, then network", act=unreachable),
    Attack(name="dns", says="names that hang, or do not resolve", act=names_hang, setting=NAMED),
    Attack(name="descriptors", says="out of file descriptors", act=no_descriptors),
)
