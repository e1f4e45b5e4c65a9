"""A JSON text in which a token and its facts are filled in, wherever `{access_token}` and its like stand. Pure."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

FACTS: Final = ("access_token", "expires_at", "expires_at_iso", "token_type", "account")
_PLACE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LIKE: Final = dict(zip(FACTS, ('"\\', "1", "2026-01-01T00:00:00Z", "Bearer", "work"), strict=True))


def fill(template: str, facts: Mapping[str, str]) -> str:
    """In one go, so that what a token holds is not filled in again; escaped as within a JSON string."""
    return _PLACE.sub(lambda found: msgspec.json.encode(facts[found[1]]).decode()[1:-1], template)


def wrong(template: str) -> str:
    """What is wrong with it: a sentence. Empty: nothing."""
    for name in _PLACE.findall(template):
        if name not in FACTS:
            return f"{{{name}}} is not known: expected {', '.join(f'{{{fact}}}' for fact in FACTS)}"
    if "{access_token}" not in template:
        return "expected a JSON text in which {access_token} stands"
    try:
        msgspec.json.decode(fill(template, _LIKE))
    except (msgspec.DecodeError, RecursionError):
        return 'expected a JSON text in which {access_token} and its like stand within quotes, like "{access_token}"'
    return ""
