"""Everything that can be found on this machine, in the order in which it is shown."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import structs

from aixtiv.importing import oidc_agent, old, profiles
from aixtiv.importing.find import Accounts, Find, Source
from aixtiv_protocol.replies import Account

Look = Callable[[Mapping[str, str], Path, Accounts], tuple[list[Find], list[str]]]

LOOKS: Final[dict[Source, Look]] = {
    "old": lambda environ, _, accounts: old.look(environ, accounts),
    "oidc-agent": oidc_agent.look,
    "environment": profiles.look,
}


def look(
    sources: tuple[Source, ...], there: tuple[Account, ...], holds: Callable[[str, str], bool]
) -> tuple[list[Find], list[str]]:
    """Of these sources; `there`: the accounts that the daemon has. What was found, and what could not be read."""
    accounts = Accounts(there, holds)
    finds: list[Find] = []
    troubles: list[str] = []
    for source in sources:
        found, trouble = LOOKS[source](os.environ, Path.home(), accounts)
        finds += found
        troubles += trouble
    return _once(finds), list(dict.fromkeys(troubles))


def _once(finds: list[Find]) -> list[Find]:
    """A second key for the same account, and a second way to sign in to it, are shown and not taken."""
    taken: dict[str, Find] = {}
    found: list[Find] = []
    for find in finds:
        first = taken.setdefault(find.account, find) if find.deed != "none" else find
        if first is find or (first.deed == "seal" and first.value == find.value):
            found.append(find)
        else:
            found.append(structs.replace(find, deed="none", note=f"{find.account} is for the one above"))
    return found
