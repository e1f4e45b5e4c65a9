"""One thing that was found: what it is, where it stands, what can be made of it; its value only as a Secret."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from aixtiv.completing import PROVIDERS
from aixtiv.show import short
from aixtiv_protocol.replies import Account
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret

Source = Literal["old", "oidc-agent", "environment"]

Deed = Literal["seal", "adopt", "sign-in", "none"]
"""Seal an API key; take over a refresh token; sign in with client settings; nothing: it stays as it is."""


class Place(Struct, frozen=True):
    """Where a value stands in a file that could be rid of it."""

    path: Path
    line: int = 0  # from 1; 0: of a JSON file
    name: str = ""  # the variable, or the JSON key
    keys: tuple[str, ...] = ()  # down to it, in a JSON file

    def __str__(self) -> str:
        at = f":{self.line}" if self.line else ""
        return f"{short(str(self.path))}{at} {self.name}".rstrip()


class Find(Struct, frozen=True):
    source: Source
    what: str  # "API key", "refresh token", "client id"
    places: tuple[Place, ...] = ()
    where: str = ""  # where it is no file of ours: "oidc-agent's kit"
    deed: Deed = "none"
    account: str = ""  # that it becomes, or is used by
    note: str = ""  # what becomes of it, or why nothing does
    value: Secret | None = None
    settings: ClientSettings = ClientSettings()
    scopes: tuple[str, ...] = ()
    sealed: bool = False  # that very key is in the vault already
    environ: tuple[tuple[str, Secret], ...] = ()  # variables that a sign-in reads, and this shell may lack

    @property
    def stands(self) -> str:
        return self.where or ", ".join(map(str, self.places))

    @property
    def first(self) -> str:
        """The same, short."""
        more = len(self.places) - 1
        return f"{self.places[0]} (and {more} more)" if more > 0 else self.stands


class Accounts:
    """Those that are there already. `holds`: whether that is the very key which an account of that name has sealed.

    `described`: the providers of which the config says where they are.
    """

    def __init__(
        self, there: Sequence[Account], holds: Callable[[str, str], bool], described: Collection[str] = ()
    ) -> None:
        self._described = {*PROVIDERS, *described}
        self._keyed = {account.name for account in there if account.key}
        self._signed_in = {account.name for account in there if account.kind != "api-key"}
        self.holds = holds

    def keyed(self, name: str) -> bool:
        return name in self._keyed

    def signed_in(self, name: str) -> bool:
        return name in self._signed_in

    def sign_in(self, name: str, found: ClientSettings, reads: str) -> tuple[Deed, str]:
        """What can be done with the client settings of that provider. `reads`: what a sign-in does with them there."""
        if self.signed_in(name):
            return "none", f"{name} is signed in"
        ends = found.authorization_endpoint and found.token_endpoint
        if not (found.issuer or ends or name in self._described):
            return "none", f"nothing here says where {name} is: `aixtiv login {name} --issuer URL` does, and {reads}"
        return "sign-in", f"goes on working: `aixtiv login {name}` {reads}"
