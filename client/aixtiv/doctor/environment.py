"""The shell's variables: which hides which, where tools are sent, and what kind of key stands where."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aixtiv import filed, ports
from aixtiv.doctor.finding import Finding, fine, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.setup.claude_code import settings as settings_file

KEYS: Final = ("ANTHROPIC_API_KEY", "DR_CLAUDE_API")
TOKEN: Final = "ANTHROPIC_AUTH_TOKEN"
_OAUTH: Final = ("CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI", "SCOPE", "TOKEN_ENDPOINT", "AUTH_ENDPOINT")

# What a secret is, by its first letters; nothing more of it is ever shown.
_KINDS: Final = {
    "sk-ant-api": "an API key",
    "sk-ant-oat": "an OAuth token",
    "sk-ant-ort": "a refresh token",
    "sk-ant-admin": "an admin key",
    "sk-ant-sid": "a browser's session",
    "aixtiv-ticket-": "a ticket of aixtiv",
}
_BELONGS: Final = {"sk-ant-api": KEYS, "sk-ant-oat": (TOKEN,), "aixtiv-ticket-": (TOKEN,)}


def check_shadowing(situation: Situation) -> Iterator[Finding]:
    found = list(_shadows(situation))
    yield from found
    if not found:
        yield fine("shadowing", "no variable hides another")


def _shadows(situation: Situation) -> Iterator[Finding]:
    """Who reads what first was read in the SDKs' and Claude Code's sources (shared/claude.md)."""
    environ = situation.environ
    key, token = (environ.get(name, "") for name in ("ANTHROPIC_API_KEY", TOKEN))
    if key and token:
        both = "ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN are both set: the SDKs send the key, Claude Code the token"
        yield wrong("shadowing", both, "unset ANTHROPIC_API_KEY" if _is_ours(token) else f"unset {TOKEN}")
    winner = "ANTHROPIC_API_KEY" if key else TOKEN if token else ""
    if winner and environ.get("ANTHROPIC_PROFILE"):
        yield _hides(winner, f"ANTHROPIC_PROFILE ({environ['ANTHROPIC_PROFILE']})")
    if claude_code(situation).get("apiKeyHelper"):
        yield from _hiding_the_helper(situation, "" if _is_ours(token) else winner)
    yield from _older_names(environ)


def _hiding_the_helper(situation: Situation, winner: str) -> Iterator[Finding]:
    """From this shell, and from the very settings that name it."""
    helper = "the apiKeyHelper in Claude Code's settings"
    if winner:
        yield _hides(winner, helper)
    theirs = claude_code(situation).get("env")
    for name in (TOKEN, "ANTHROPIC_API_KEY"):
        if isinstance(theirs, dict) and theirs.get(name):
            yield wrong(
                "shadowing", f"{name} in Claude Code's settings hides {helper}", f"$EDITOR {_settings(situation)}"
            )


def _hides(winner: str, loser: str) -> Finding:
    return wrong("shadowing", f"{winner} is set and hides {loser}", f"unset {winner}")


def _older_names(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Only where the two say different things: a name that repeats another hides nothing."""
    older = environ.get("DR_CLAUDE_API", "").strip()
    is_url = "://" in older
    pairs = [(f"ANTHROPIC_OAUTH_{name}", f"CLAUDE_OAUTH_{name}") for name in _OAUTH]
    pairs += [("CLAUDE_API_ENDPOINT" if is_url else "ANTHROPIC_API_KEY", "DR_CLAUDE_API")] if older else []
    for winner, loser in pairs:
        values = [environ.get(name, "").strip() for name in (winner, loser)]
        if all(values) and values[0] != values[1]:
            meaning = f" (which {'is an address' if is_url else 'is a key'} here)" if loser == "DR_CLAUDE_API" else ""
            yield wrong(
                "shadowing", f"{winner} is set and hides {loser}{meaning}, which says something else", f"unset {loser}"
            )


def _is_ours(token: str) -> bool:
    return token.startswith("aixtiv-ticket-")


def claude_code(situation: Situation) -> Mapping[str, Any]:
    """Claude Code's own settings; empty where there are none, or they are not to be read, as `base-url` says."""
    try:
        settings = filed.tree(_settings(situation))
    except (FileNotFoundError, filed.Misread):
        return {}
    return settings if isinstance(settings, dict) else {}


def _unread(situation: Situation) -> Finding | None:
    try:
        filed.tree(_settings(situation))
    except FileNotFoundError:
        return None
    except filed.Misread as failure:
        return wrong("base-url", failure.sentence, failure.hint)
    return None


def _settings(situation: Situation) -> Path:
    return settings_file(situation.environ, situation.home)


def check_base_url(situation: Situation) -> Iterator[Finding]:
    theirs = claude_code(situation).get("env")
    places = {"ANTHROPIC_BASE_URL": situation.environ.get("ANTHROPIC_BASE_URL", "")}
    if isinstance(theirs, dict):
        places["ANTHROPIC_BASE_URL in Claude Code's settings"] = str(theirs.get("ANTHROPIC_BASE_URL", ""))
    said = {name: url.strip() for name, url in places.items() if url.strip()}
    yield from (_base_url(situation, name, url) for name, url in said.items())
    if unread := _unread(situation):
        yield unread
    elif not said:
        yield fine("base-url", "ANTHROPIC_BASE_URL is not set: tools go where they always go")


def _base_url(situation: Situation, name: str, url: str) -> Finding:
    setup = "aixtiv setup claude-code" if "settings" in name else "aixtiv setup env"
    clear = "aixtiv setup claude-code --undo" if "settings" in name else "unset ANTHROPIC_BASE_URL"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"  # never a user and password in it
    if not host or parts.scheme not in ("http", "https"):
        return wrong("base-url", f"{name} is no address", clear)
    if parts.path.rstrip("/").endswith(("/v1", "/messages")):
        return wrong("base-url", f"{name} is {shown}, and tools add /v1/messages to that", clear)
    if host == "api.anthropic.com":
        return fine("base-url", f"{name} is Claude's own address")
    if host not in ("127.0.0.1", "localhost", "::1"):
        return wrong("base-url", f"{name} sends tools to {shown}, past aixtiv", clear)
    if not ports.answers("127.0.0.1" if host == "localhost" else host, port or 80):
        return wrong("base-url", f"{name} is {shown}, and nobody answers there", setup)
    ours = situation.status and situation.status.gateway_port == port
    return fine("base-url", f"{name} is {shown}, and {'aixtiv' if ours else 'somebody'} answers there")


def check_key_kind(situation: Situation) -> Iterator[Finding]:
    environ = situation.environ
    older = environ.get("DR_CLAUDE_API", "")
    held = {name: environ.get(name, "") for name in (*KEYS, TOKEN)}
    if "://" in older:
        held["DR_CLAUDE_API"] = ""  # an address here
    held = {name: value for name, value in held.items() if value}
    found = list(itertools.chain.from_iterable(_key(name, value) for name, value in held.items()))
    yield from found
    if not held:
        yield fine("key-kind", "no key is in this shell")
    elif not found:
        yield fine("key-kind", f"{' and '.join(held)} {'holds' if len(held) == 1 else 'hold'} what belongs there")


def _key(name: str, value: str) -> Iterator[Finding]:
    bare = value.strip().strip("\"'").strip()
    if bare != value:
        around = "quotes" if value.strip() != bare else "a line break" if "\n" in value or "\r" in value else "blanks"
        yield wrong("key-kind", f"{name} has {around} around what it holds, and tools send them along", f"unset {name}")
    prefix = next((prefix for prefix in _KINDS if bare.startswith(prefix)), "")
    if not prefix:
        if name == "DR_CLAUDE_API" and ("." in bare and "/" in bare):
            yield wrong(
                "key-kind",
                "DR_CLAUDE_API looks like an address and has no https://: it is taken for a key",
                f"unset {name}",
            )
        return
    if name in _BELONGS.get(prefix, ()):
        return
    place = _BELONGS[prefix][0] if prefix in _BELONGS else ""
    where = f"; it belongs in {place}" if place else ", which no call of Claude takes"
    yield wrong("key-kind", f"{name} holds {_KINDS[prefix]} ({prefix}…){where}", _moved(name, place))


def _moved(name: str, place: str) -> str:
    return f'export {place}="${name}"; unset {name}' if place else f"unset {name}"
