"""The rules at the socket's gate: real accounts, a caller as tests say it, and tickets that are none."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from aixtiv_protocol import replies
from aixtiv_protocol.requests import Request
from aixtiv_protocol.secret import Secret
from aixtivd.access.caller import Caller, described
from aixtivd.access.rules import Rules
from aixtivd.access.ticket import Held
from aixtivd.access.tickets import Tickets
from aixtivd.config import AccessConfig, Config, Rule
from aixtivd.errors import AixtivError, NoAccount, NotAllowed
from aixtivd.ipc.explaining import Explaining
from aixtivd.ipc.gate import Gate
from peers.clock import FakeClock
from peers.house import House, opened

SECRET = Secret("aixtiv-ticket-x")


def me() -> Caller:
    return replace(described(os.getpid()), unit="tool.service")


class Made:
    """Stands for `Tickets`: `t1` is one for github, and both `twins` are there."""

    def of(self, word: str) -> tuple[Held, ...]:
        accounts = {"t1": ("github",), "twins": ("github", "anthropic")}.get(word, ())
        return tuple(Held(id="t1", account=account, verbs=("relay",)) for account in accounts)

    def unknown(self, word: str) -> NoAccount:
        return NoAccount(f"there is no ticket {word}")


class At:
    def __init__(self, house: House, config: Config) -> None:
        self.house = house
        self.rules = Rules(config)
        self.gate = Gate(self.rules, house.accounts, cast("Tickets", Made()))
        self.explaining = Explaining(self.rules, house.accounts)

    def refused(self, asked: Request, caller: Caller | None = None) -> bool:
        try:
            self.gate.admit(asked, caller or me())
        except NotAllowed:
            return True
        except AixtivError:
            pass
        return False


@asynccontextmanager
async def gate(
    folder: Path, *those: Rule, names: tuple[str, ...] = ("anthropic", "github"), **access: Any
) -> AsyncIterator[At]:
    async with opened(folder, FakeClock()) as house:
        for name in names:
            await house.adopt(name)
        yield At(house, Config(rule=those, access=AccessConfig(**({"default": ()} | access))))


async def items(of: AsyncIterator[replies.Reply]) -> list[Any]:
    return [item async for item in of]
