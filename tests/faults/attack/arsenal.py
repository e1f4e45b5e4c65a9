"""Every attack there is, in the order of the table."""

from typing import Final

from faults.attack import kills
from faults.attack.attack import Attack

ATTACKS: Final[tuple[Attack, ...]] = (*kills.ATTACKS,)
