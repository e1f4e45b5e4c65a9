"""Who may do what with which account: the config's rules, the first that fits decides (D11)."""

from typing import Final

from msgspec import Struct

from aixtiv_protocol.requests import Right
from aixtivd.access.caller import Caller
from aixtivd.config import Config

RIGHTS: Final[tuple[Right, ...]] = ("list", "token", "relay", "manage")


class Verdict(Struct, frozen=True):
    """What one caller may do with one account."""

    rights: tuple[Right, ...]
    rule: int = 0  # its number, from 1; 0: the default
    why: str = ""  # a sentence
    paths: tuple[str, ...] = ()  # that may be relayed: prefixes; empty: all


class Rules:
    def __init__(self, config: Config) -> None:
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        self._rules = config.rule
        self._access = config.access

    @property
    def any(self) -> bool:
        """Whether there is anything to look at: else every caller of this user may do everything."""
        return bool(self._rules) or self._access != type(self._access)()

    def verdict(self, caller: Caller, account: str) -> Verdict:  # noqa: ARG002
        """`account` empty: what is of no account."""
        return Verdict(RIGHTS)

    def check(self, caller: Caller, right: Right, account: str, path: str = "") -> None:
        """Raises Denied with a sentence and a command. `path`: of a relayed call."""
