"""A profile of Anthropic's SDKs (anthropic 2.12, lib/credentials): two files, and in the secret one only a ticket."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aixtiv.setup import jsontext
from aixtiv.setup.goal import Goal

PROFILE: Final = "aixtiv"


def folder(environ: Mapping[str, str]) -> Path:
    """As the SDKs find it, on macOS, too; XDG_CONFIG_HOME does not count."""
    return Path(environ.get("ANTHROPIC_CONFIG_DIR") or Path.home() / ".config/anthropic")


def goals(environ: Mapping[str, str], port: int, ticket: str) -> tuple[Goal, ...]:
    """`user_oauth` without a client id: whoever made the file renews what is in it. No expiry: it is never renewed."""
    config = {"version": "1.0", "base_url": f"http://127.0.0.1:{port}", "authentication": {"type": "user_oauth"}}
    credentials = {"version": "1.0", "type": "oauth_token", "access_token": ticket}
    return (
        _goal(folder(environ) / "configs" / f"{PROFILE}.json", config, 0o600),
        _goal(folder(environ) / "credentials" / f"{PROFILE}.json", credentials, 0o600),
    )


def _goal(path: Path, tree: dict[str, Any], mode: int) -> Goal:
    def edit(text: str) -> str:
        text = text if text.strip() else "{}\n"
        for key, value in tree.items():
            text = jsontext.put(text, (key,), value)
        return text

    return Goal(path, "json", edit, tuple((key,) for key in tree), mode)
