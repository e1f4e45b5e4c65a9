"""What tools were handed: a ticket, or the command that gets them one. Whether it is good is asked of the gateway."""

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from aixtiv import filed
from aixtiv.doctor import environment
from aixtiv.doctor.finding import Finding, fine, skipped, wrong
from aixtiv.doctor.situation import MODELS, Question, Situation
from aixtiv.setup import sdk_profile
from aixtiv.show import short

_TICKET: Final = "aixtiv-ticket-"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_KEY: Final = "claude-key"


class Handed(Struct, frozen=True):
    where: str
    ticket: str
    base_url: str
    hint: str

    def __repr__(self) -> str:
        return f"Handed({self.where})"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("where", self.where)]


def check_ticket(situation: Situation) -> Iterator[Finding]:
    found = [handed for handed in (_in_shell(situation), _in_profile(situation)) if handed]
    for handed in found:
        question = Question(MODELS.path, headers=(*MODELS.headers, ("authorization", f"Bearer {handed.ticket}")))
        answered = situation.bare(handed.base_url, question)
        if answered.status == 401 and "ticket" in answered.message:  # in the gateway's words, not an API's
            yield wrong("ticket", f"{handed.where} holds a ticket that is dead: {answered.message}", handed.hint)
        elif answered.status:
            yield fine("ticket", f"the gateway knows the ticket in {handed.where}")
        else:
            yield skipped("ticket", f"nobody can be asked about the ticket in {handed.where}: {answered.message}")
    if not found:
        yield skipped("ticket", "no ticket is in this shell, nor in a profile of the SDKs")


def _in_shell(situation: Situation) -> Handed | None:
    environ = situation.environ
    base_url = _ours(environ.get("ANTHROPIC_BASE_URL", ""), situation)
    hint = 'eval "$(aixtiv setup env --yes)"'
    return _handed(environment.TOKEN, environ.get(environment.TOKEN, ""), base_url, hint)


def _in_profile(situation: Situation) -> Handed | None:
    """Of the profile that `aixtiv setup sdk-profile` writes."""
    folder = Path(situation.environ.get("ANTHROPIC_CONFIG_DIR") or situation.home / ".config/anthropic")
    files = [folder / part / f"{sdk_profile.PROFILE}.json" for part in ("configs", "credentials")]
    try:
        config, credentials = (filed.tree(file) for file in files)
    except (FileNotFoundError, filed.Misread):
        return None
    if not isinstance(config, dict) or not isinstance(credentials, dict):
        return None
    ticket, base_url = str(credentials.get("access_token", "")), str(config.get("base_url", ""))
    return _handed(short(str(files[1])), ticket, _ours(base_url, situation), "aixtiv setup sdk-profile")


def _handed(where: str, ticket: str, base_url: str, hint: str) -> Handed | None:
    return Handed(where, ticket, base_url, hint) if ticket.startswith(_TICKET) and base_url else None


def _ours(base_url: str, situation: Situation) -> str:
    """Where the ticket may be shown: on this machine only. Empty: nowhere."""
    try:
        parts = urlsplit(base_url)
        if parts.scheme == "http" and parts.hostname in _LOOPBACK and parts.port:
            return f"http://127.0.0.1:{parts.port}"
    except ValueError:
        return ""
    port = situation.status.gateway_port if situation.status else 0
    return f"http://127.0.0.1:{port}" if port else ""


def check_helper(situation: Situation) -> Iterator[Finding]:
    """The apiKeyHelper of Claude Code's, where it is ours: the program is there, and the account."""
    words = _helper(situation)
    if _KEY not in words[1:2]:
        yield skipped("helper", "Claude Code's settings name no apiKeyHelper of aixtiv")
        return
    program, account = words[0], words[2] if len(words) > 2 else ""
    known = [each.name for each in situation.accounts]
    if not _runs(program, situation):
        sentence = f"the apiKeyHelper in Claude Code's settings is {short(program)}, which is not there"
        yield wrong("helper", sentence, "aixtiv setup claude-code")
    elif account and situation.status and not situation.status.locked and account not in known:
        sentence = f"the apiKeyHelper in Claude Code's settings asks for {account}, and there is no such account"
        yield wrong("helper", sentence, f"aixtiv login {account}")
    else:
        yield fine("helper", f"Claude Code gets its tickets from {short(program)}")


def _helper(situation: Situation) -> list[str]:
    try:
        return shlex.split(str(environment.claude_code(situation).get("apiKeyHelper", "")))
    except ValueError:  # a quote without its other half: not of our writing
        return []


def _runs(program: str, situation: Situation) -> bool:
    if "/" in program:
        return Path(program).is_file() and os.access(program, os.X_OK)
    return shutil.which(program, path=situation.environ.get("PATH")) is not None
