"""Tables of the config that are nearly named after something: `[api.anthropc]` changes nothing, in silence."""

import difflib
from collections.abc import Iterator
from typing import Final

from aixtiv.doctor.finding import Finding, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.show import short

READY: Final = ("anthropic", "github", "gitlab", "google", "microsoft")
"""The providers that the daemon knows without a config."""


def check(situation: Situation) -> Iterator[Finding]:
    named = {table: _names(situation, table) for table in ("provider", "api")}
    known = {*READY, *(each.name for each in situation.accounts), *(each.provider for each in situation.accounts)}
    found = list(_strays(situation, named, known))
    yield from found
    if not any(named.values()):
        yield skipped("config-names", "the config names no provider and no API")
    elif not found:
        yield fine("config-names", "what the config names is there, or is like nothing else")


def _names(situation: Situation, table: str) -> list[str]:
    """Without providers that are described in full, and so are meant to be others."""
    whole = {"issuer", "token-endpoint"} if table == "provider" else set()
    return [name for name, said in _tables(situation, table).items() if not whole.intersection(said)]


def _tables(situation: Situation, table: str) -> dict[str, dict[str, object]]:
    """Those that are some: of anything else the check `config` tells."""
    tables = situation.tables.get(table)
    return {name: said for name, said in tables.items() if isinstance(said, dict)} if isinstance(tables, dict) else {}


def _strays(situation: Situation, named: dict[str, list[str]], known: set[str]) -> Iterator[Finding]:
    for table, names in named.items():
        there = known if table == "provider" else known | set(_tables(situation, "provider"))
        for name in names:
            near = difflib.get_close_matches(name, sorted(there), n=1, cutoff=0.8)
            if name not in there and near:
                sentence = f"[{table}.{name}] in {short(str(situation.config))} is for no account and no provider"
                yield wrong("config-names", f"{sentence}; did you mean {near[0]}?", f"$EDITOR {situation.config}")
