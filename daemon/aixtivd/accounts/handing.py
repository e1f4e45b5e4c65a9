"""A token for a tool that goes to a host: from the account whose `hosts` in the config name it, and for no other."""

from typing import Final

from msgspec import Struct

from aixtiv_protocol import replies, requests
from aixtiv_protocol.requests import HostToken
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.book import Book, Entry, listed
from aixtivd.accounts.identities import Identities
from aixtivd.accounts.paying import Paying
from aixtivd.accounts.serving import Serving
from aixtivd.clock import Clock
from aixtivd.config import AccountConfig
from aixtivd.config.reach import Target, names, reach, target
from aixtivd.errors import Locked, NoAccount, Refused, SignInNeeded
from aixtivd.oauth import federation

ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # RFC 8693 §3
_APART: Final = 60.0
"""Seconds in which what replaced a rejected token is not replaced in its turn: our own choice, about what a person
takes to see that a host refuses that one, too."""
_HINT: Final = "aixtiv config check"


class Found(Struct, frozen=True):
    account: str
    closeness: int  # segments of the entry's path: the longer names the place more exactly


class Handing:
    """`paying`: knows the config."""

    def __init__(self, book: Book, serving: Serving, identities: Identities, paying: Paying, clock: Clock) -> None:
        self._book = book
        self._serving = serving
        self._identities = identities
        self._paying = paying
        self._clock = clock
        self._replaced: dict[str, tuple[int, float]] = {}  # account -> generation that came for a rejected token; until

    def named(self, word: str) -> bool:
        """Whether the config has a table for an account of that name."""
        return word in self._paying.config.account

    def account(self, asked: HostToken) -> str:
        """Whose token it is. Raises NoAccount where none is for that host, Refused where several are."""
        if not asked.url:
            return self._unplaced(asked.account)
        where = target(asked.url)
        if where is None:
            nowhere = "tokens go to https:// addresses that are plainly written, and on this machine to http:// ones"
            raise Refused(nowhere) if asked.account else NoAccount(nowhere, hint=_HINT)
        if asked.account:
            if not self._found(asked.account, self._config(asked.account), where):
                raise _not_for(asked.account, where)
            return asked.account
        return self._of_several(where, asked.username)

    async def token(self, asked: HostToken) -> replies.HostToken:
        """Raises SignInNeeded where nobody has signed in to the account that is for that host."""
        name = self.account(asked)
        if self._book.closed:
            raise Locked
        entry = self._book.find(name)
        if entry is None:
            raise SignInNeeded(f"nobody has signed in to {name}", hint=f"aixtiv login {name}")
        deadline = self._clock.steady() + asked.wait
        if asked.rejected is not None:
            await self._another(entry, asked.rejected, deadline)
        username = self._config(name).username or asked.username
        if asked.kind == "id":
            token = await self._identities.of_account(entry.grant.name)
            ends = int(federation.expiry_of(token))
            return replies.HostToken(
                account=name, access_token=token, token_type=ID_TOKEN, expires_at=ends, username=username
            )
        had = await self._access(entry, asked, deadline)
        return replies.HostToken(
            account=name,
            access_token=had.access_token,
            token_type=had.token_type,
            expires_at=had.expires_at,
            username=username,
        )

    async def _access(self, entry: Entry, asked: HostToken, deadline: float) -> replies.AccessToken:
        lifetime = entry.grant.lifetime
        life = min(asked.min_ttl, int(lifetime / 2)) if lifetime else 0
        wait = max(0.0, deadline - self._clock.steady())
        return await self._serving.token(requests.Token(account=entry.grant.name, min_ttl=life, wait=wait))

    async def _another(self, entry: Entry, rejected: Secret, deadline: float) -> None:
        """One refresh in place of a token that a host did not take, unless another caller has had it already.

        A host may have reasons of its own: what came so is not replaced again at once.
        """
        grant, now = entry.grant, self._clock.steady()
        generation, until = self._replaced.get(grant.name, (0, 0.0))
        if rejected not in (grant.access_token, grant.id_token) or not entry.renewable:
            return
        if generation == grant.generation and now < until:
            return
        await self._serving.another(entry, deadline)
        self._replaced[entry.grant.name] = entry.grant.generation, self._clock.steady() + _APART

    def _unplaced(self, account: str) -> str:
        if self._book.closed and not account:
            raise Locked
        if not (name := account or self._book.default):
            raise NoAccount("neither a host nor an account was named, and there is no default")
        return name

    def _of_several(self, where: Target, username: str) -> str:
        """The entry that names the place most exactly decides, and then the user's name."""
        found = [
            one
            for name, config in self._paying.config.account.items()
            if not (username and config.username and config.username != username)
            for one in self._found(name, config, where)
        ]
        closest = max((one.closeness for one in found), default=0)
        accounts = sorted({one.account for one in found if one.closeness == closest})
        if not accounts:
            raise _nobodys(where)
        if len(accounts) > 1 and username:
            said = [name for name in accounts if username in (name, self._config(name).username)]
            accounts = said or accounts
        if len(accounts) > 1:
            raise Refused(
                f"{where.name} is in the hosts of {listed(accounts, ' and ')}: a user name, or another path, has to"
                " tell them apart",
                hint=_HINT,
            )
        return accounts[0]

    @staticmethod
    def _found(account: str, config: AccountConfig, where: Target) -> list[Found]:
        entries = filter(None, map(reach, config.hosts))
        return [Found(account, len(entry.path)) for entry in entries if names(entry, where)]

    def _config(self, account: str) -> AccountConfig:
        return self._paying.config.account.get(account, AccountConfig())


def _nobodys(where: Target) -> NoAccount:
    return NoAccount(f"no account is for {where.name}: no account.NAME.hosts in the config names it", hint=_HINT)


def _not_for(account: str, where: Target) -> Refused:
    return Refused(f"{account} is not for {where.name}: account.{account}.hosts does not name it", hint=_HINT)
