"""A machine that sleeps, a process that is stopped, a wall clock that is set."""

from signal import SIGCONT, SIGSTOP
from typing import Final

from faults.attack.attack import Attack
from faults.attack.scene import NAMES, Scene

HOUR: Final = 3600.0
MOMENT: Final = 0.05
LIVES: Final = 4.0  # seconds of an access token, where some are to expire


def asleep(scene: Scene) -> None:
    """Minutes of sleep in the middle of refreshes: the clocks that count it step forward, the loop's own does not."""
    _stopped(scene, awake=False)


def stopped(scene: Scene) -> None:
    """The process stands still for minutes, by SIGSTOP: every clock goes on, every deadline has passed."""
    _stopped(scene, awake=True)


def _stopped(scene: Scene, *, awake: bool) -> None:
    """The server's answers come while nobody runs; or later."""
    away = scene.chance.uniform(20, 15 * 60)
    early = scene.chance.random() < 0.7
    with scene.answers_kept_back():
        scene.machine.signal(SIGSTOP)
        if early:
            scene.server.release()
            scene.settle()
        scene.hostile.jump(wall=away, steady=away, awake=away if awake else 0.0)
        scene.machine.signal(SIGCONT)
        scene.moment(MOMENT)
        scene.server.release()
        scene.moment(MOMENT)


def set_forward_and_back(scene: Scene) -> None:
    """The wall clock is an hour elsewhere, amid refreshes of tokens that live a moment, and perhaps back again."""
    scene.server.tell(access_ttl=scene.chance.choice((LIVES, 3600.0)))
    way = scene.chance.choice((-HOUR, HOUR))
    with scene.refreshing():
        scene.moment(MOMENT)
        scene.hostile.jump(wall=way)
        scene.moment(MOMENT)
    scene.refreshed(*NAMES)
    if scene.chance.random() < 0.5:
        scene.hostile.jump(wall=-way)
    elif scene.chance.random() < 0.5:
        scene.kill()  # the next daemon begins with another time
    scene.server.tell(access_ttl=3600.0)


ATTACKS: Final = (
    Attack(name="suspend", says="the machine sleeps for minutes amid refreshes", act=asleep),
    Attack(name="stop-cont", says="SIGSTOP for minutes amid refreshes: every deadline has passed", act=stopped),
    Attack(name="wall-clock", says="the wall clock an hour forward or back, amid refreshes", act=set_forward_and_back),
)
