"""SIGKILL: at moments that nobody chose, and at each named step."""

from typing import Final

from faults.attack.attack import Attack
from faults.attack.scene import Scene

LONGEST: Final = 0.06  # seconds from asking to dying: a refresh takes some twenty milliseconds


def at_random(scene: Scene) -> None:
    """While refreshes are under way, of which nobody knows how far they are."""
    scene.refresh(*scene.some())
    scene.moment(LONGEST)
    scene.kill()


ATTACKS: Final = (Attack(name="kill", says="SIGKILL at a random instant of a refresh", act=at_random),)
