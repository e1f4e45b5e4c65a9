"""Every target there is."""

from typing import Final

from fuzz import callback, configs, gateway, pasted, wire
from fuzz.target import Target

TARGETS: Final[tuple[Target, ...]] = (*wire.TARGETS, *callback.TARGETS, *pasted.TARGETS, *configs.TARGETS, *gateway.TARGETS)
BY_NAME: Final = {target.name: target for target in TARGETS}
