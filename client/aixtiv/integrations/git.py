"""What git and a credential helper say to each other (git-credential(1), gitcredentials(7)). Pure."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from aixtiv_protocol.replies import HostToken
from aixtiv_protocol.secret import Secret

USER: Final = "oauth2"
"""Beside a token where nobody says a name: GitLab's word for it; GitHub and others take any."""

_HOST: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_ONCE: Final = ("protocol", "host", "path", "username", "password", "credential")

LONGEST: Final = 64 * 1024  # characters of what git says


class Wanted(Struct, frozen=True):
    """What git asks for."""

    url: str = ""  # empty: not over HTTP, so that no token is of use
    username: str = ""
    rejected: Secret | None = None  # of `erase`
    bearer: bool = False  # git can send a token as what it is, and the server takes it so


def read(text: str) -> Wanted:
    """Of lines it does not know git expects that they are passed over. Where one says what another does not, no place
    is meant.
    """
    said: dict[str, list[str]] = {}
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            said.setdefault(key, []).append(value)

    def last(key: str) -> str:
        return said.get(key, [""])[-1]

    plain = all(len(said.get(key, ())) < 2 for key in _ONCE)
    rejected = last("credential") or last("password")
    challenges = [challenge.lower() for challenge in said.get("wwwauth[]", [])]
    return Wanted(
        url=_url(last("protocol"), last("host"), last("path")) if plain else "",
        username=last("username"),
        rejected=Secret(rejected) if rejected else None,
        bearer="authtype" in said.get("capability[]", []) and _takes_bearer(challenges),
    )


def _takes_bearer(challenges: Sequence[str]) -> bool:
    """Many take a token as a password alone: only who says so gets it as what it is (RFC 6750 §3)."""
    return any(challenge.partition(" ")[0] == "bearer" for challenge in challenges)


def _url(protocol: str, host: str, path: str) -> str:
    """What is no host and port would be read as a part of something else."""
    known = protocol in {"http", "https"} and _HOST.fullmatch(host)
    return f"{protocol}://{host}/{path.lstrip('/')}" if known else ""


def written(found: HostToken, wanted: Wanted) -> str:
    """The answer to `get`. It is never stored: it is ours to keep fresh."""
    token = found.access_token.reveal()
    lines = [f"username={found.username or USER}", f"password={token}"]
    if wanted.bearer and found.token_type.lower() == "bearer":
        lines = ["capability[]=authtype", "authtype=Bearer", f"credential={token}", "ephemeral=1"]
    if found.expires_at:
        lines.append(f"password_expiry_utc={found.expires_at}")
    return "\n".join(lines)


QUIT: Final = "quit=1"
"""In place of an answer: git asks neither another helper nor a person for what neither could know."""
