"""One kind of attack: what it is about, what it wants of its scene, and what happens in a round of it."""

from collections.abc import Callable

from msgspec import Struct

from faults.attack.scene import KINDS, Kind, Scene, Setting


class Attack(Struct, frozen=True, kw_only=True):
    """A round: `act`, everything is mended, the invariant is looked at."""

    name: str
    says: str  # what happens, for the table
    act: Callable[[Scene], None]
    setting: Setting = Setting()
    kinds: tuple[Kind, ...] = tuple(KINDS)
    rounds: int = 6  # on one machine, one after the other
    root: bool = False  # mounting a disk takes it
