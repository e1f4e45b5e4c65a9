"""How long nobody has wanted anything of the vault."""

from typing import Final

from aixtivd.clock import Clock
from aixtivd.ipc.leases import Leases
from aixtivd.relay.relay import Relay

LOOK: Final = 37.0  # seconds between two looks: the machine may sleep meanwhile (D9)


class Idleness:
    """Looked at now and then, so that a request costs no more than a number counted up.

    Never told too long: what was under way at the last look is taken to have gone on until this one.
    """

    def __init__(self, leases: Leases, relay: Relay, clock: Clock) -> None:
        self.requests = 0  # counted by whoever answers them
        self._leases = leases
        self._relay = relay
        self._clock = clock
        self._seen = (0, 0)
        self._was_busy = False
        self._last = clock.steady()

    def restart(self) -> None:
        """From now on."""
        self._was_busy = True
        self.seconds()

    def seconds(self) -> float:
        """Since the last request that needs the vault; zero while one is under way."""
        seen = (self.requests, self._relay.begun)
        busy = self._leases.busy or self._relay.busy
        if busy or self._was_busy or seen != self._seen:
            self._last = self._clock.steady()
        self._seen, self._was_busy = seen, busy
        return self._clock.steady() - self._last
