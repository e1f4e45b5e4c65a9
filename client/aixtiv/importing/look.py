"""Everything that can be found on this machine, in the order in which it is shown."""

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import platformdirs
from msgspec import structs

from aixtiv import filed
from aixtiv.importing import oidc_agent, old, profiles
from aixtiv.importing.find import Accounts, Find, Source
from aixtiv_protocol.replies import Account

Look = Callable[[Mapping[str, str], Path, Accounts], tuple[list[Find], list[str]]]

LOOKS: Final[dict[Source, Look]] = {
    "environment": profiles.look,
    "oidc-agent": oidc_agent.look,
    "old": lambda environ, _, accounts: old.look(environ, accounts),
}


def look(
    sources: tuple[Source, ...], there: tuple[Account, ...], holds: Callable[[str, str], bool]
) -> tuple[list[Find], list[str]]:
    """Of these sources; `there`: the accounts that the daemon has. What was found, and what could not be read."""
    accounts = Accounts(there, holds, _described())
    finds: list[Find] = []
    troubles: list[str] = []
    for source in sources:
        found, trouble = LOOKS[source](os.environ, Path.home(), accounts)
        finds += found
        troubles += trouble
    return _once(finds), list(dict.fromkeys(troubles))


def _described() -> tuple[str, ...]:
    """Providers that the config says something of. What is wrong with it, the daemon and the doctor tell."""
    config = Path(platformdirs.user_config_dir("aixtiv")) / "config.toml"
    try:
        found = tomllib.loads(filed.contents(config).decode("utf-8-sig")).get("provider")
    except (FileNotFoundError, filed.Misread, ValueError, RecursionError):
        return ()
    return tuple(found) if isinstance(found, dict) else ()


def _once(finds: list[Find]) -> list[Find]:
    """What a second place offers for the same account is shown and not taken: one question for each."""
    first: dict[tuple[str, str], Find] = {}
    adopted = {find.account for find in finds if find.deed == "adopt"}
    return [
        structs.replace(find, deed="none", note=f"goes with the refresh token that is here; else {find.note}")
        if find.deed == "sign-in" and find.account in adopted
        else _beside(first.setdefault((find.deed, find.account), find), find)
        for find in finds
    ]


def _beside(first: Find, find: Find) -> Find:
    if find.deed == "none" or find is first or (find.value and find.value == first.value):
        return find
    return structs.replace(find, deed="none", note=_SECOND[find.deed].format(find.account))


_SECOND: Final = {
    "seal": "a second key; only one can be sealed as {}",
    "adopt": "a second refresh token; only one can be taken over as {}",
    "sign-in": "as above: one sign-in to {} reads both",
}
