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
    "environment": profiles.look,
    "oidc-agent": oidc_agent.look,
    "old": lambda environ, _, accounts: old.look(environ, accounts),
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
    """A second key, or a second refresh token, for the same account is shown and not taken."""
    first: dict[tuple[str, str], Find] = {}
    return [_beside(first.setdefault((find.deed, find.account), find), find) for find in finds]


def _beside(first: Find, find: Find) -> Find:
    if find.deed not in {"seal", "adopt"} or find is first or (find.value and find.value == first.value):
        return find
    return structs.replace(find, deed="none", note=f"is another than the one above, which {find.account} is for")
