"""What cannot be an API key, though somebody pasted it as one. No sentence repeats it."""

import re
from typing import Final

from aixtivd.access.ticket import PREFIX
from aixtivd.errors import BadRequest

LENGTH: Final = 16384
"""Characters of an API key at most. Real ones have about a hundred; a line of a caller must hold it."""

_NOWHERE: Final = {
    "sk-ant-oat": ("an OAuth token of Anthropic's", "aixtiv login {} --ant"),
    "sk-ant-ort": ("a refresh token of Anthropic's", "aixtiv login {} --ant"),
    PREFIX: ("a ticket of aixtiv's own, which stands for an account that is here already", "aixtiv ticket list"),
}
"""By its beginning: what it is instead, and what was meant, perhaps."""

_NOT_AT_ANTHROPIC: Final = {
    "sk-ant-admin": "an admin key of Anthropic's, which manages an organisation and calls no model",
    "sk-proj-": "a key of OpenAI's",
    "ghp_": "a token of GitHub's",
    "gho_": "a token of GitHub's",
    "github_pat_": "a token of GitHub's",
    "glpat-": "a token of GitLab's",
    "xox": "a token of Slack's",
    "eyJ": "a signed token (a JWT)",
}

_ASSIGNED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=(?!=|$)")


def check_key(key: str, account: str, provider: str) -> None:
    """Raises BadRequest. Only of Anthropic's keys is it known how they look; others may look like anything."""
    again = f"aixtiv api-key set {account}"
    if not key or len(key) > LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        raise BadRequest(f"an API key is 1 to {LENGTH} printable characters without blanks", hint=again)
    for prefix, (what, hint) in _NOWHERE.items():
        if key.startswith(prefix):
            raise BadRequest(f"that is {what}, and no API key: no API takes it as one", hint=hint.format(account))
    if provider != "anthropic":
        return
    if key[0] in "\"'`" or key[-1] in "\"'`":
        raise BadRequest("that has quotation marks around it, which are no part of an API key", hint=again)
    if _ASSIGNED.match(key):
        raise BadRequest("that begins with a variable's name and =, which are no part of an API key", hint=again)
    for prefix, what in _NOT_AT_ANTHROPIC.items():
        if key.startswith(prefix):
            raise BadRequest(f"that is {what}, and no API key of Anthropic's", hint=again)
