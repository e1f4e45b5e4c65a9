"""Every attack there is, in the order of the table."""

from typing import Final

from faults.attack import answers, clocks, commands, disks, keyings, kills, networks, upgrades
from faults.attack.attack import Attack

ATTACKS: Final[tuple[Attack, ...]] = (
    *kills.ATTACKS,
    *disks.ATTACKS,
    *answers.ATTACKS,
    *clocks.ATTACKS,
    *networks.ATTACKS,
    *commands.ATTACKS,
    *keyings.ATTACKS,
    *upgrades.ATTACKS,
)
