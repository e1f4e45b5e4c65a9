"""What an account is called, and which of its generations counts."""

from aixtiv_protocol import replies, requests
from aixtivd.accounts.book import Book
from aixtivd.accounts.changes import Changes
from aixtivd.accounts.events import Events
from aixtivd.accounts.refresher import Refresher
from aixtivd.accounts.settling import Settling
from aixtivd.accounts.work import Work
from aixtivd.clock import Clock
from aixtivd.errors import BadRequest
from aixtivd.vault.vault import Vault


class Generations:
    """Each method raises AixtivError, and while the vault is locked Locked. What changes something is durable."""

    def __init__(
        self,
        book: Book,
        vault: Vault,
        changes: Changes,
        settling: Settling,
        refresher: Refresher,
        work: Work,
        events: Events,
        clock: Clock,
    ) -> None:
        self._book = book
        self._vault = vault
        self._changes = changes
        self._settling = settling
        self._refresher = refresher
        self._work = work
        self._events = events
        self._clock = clock

    async def rename(self, asked: requests.Rename) -> replies.Account:
        raise BadRequest("not yet")

    async def shown(self, asked: requests.Generations) -> replies.GenerationList:
        raise BadRequest("not yet")

    async def reinstate(self, asked: requests.Reinstate) -> replies.Account:
        raise BadRequest("not yet")
