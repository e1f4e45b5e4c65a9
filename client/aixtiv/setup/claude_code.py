"""Claude Code's settings: where it finds the gateway, and the command that gives it a ticket."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aixtiv.setup import jsontext
from aixtiv.setup.goal import Goal

HELPER: Final = ("apiKeyHelper",)
BASE_URL: Final = ("env", "ANTHROPIC_BASE_URL")

HIDING: Final = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")
"""What Claude Code takes before the helper, wherever it stands."""


def settings(environ: Mapping[str, str], home: Path) -> Path:
    return Path(environ.get("CLAUDE_CONFIG_DIR") or home / ".claude") / "settings.json"


def goals(environ: Mapping[str, str], home: Path, command: Path, account: str, port: int) -> tuple[Goal, ...]:
    helper = shlex.join([str(command), "claude-key", *([account] if account else [])])

    def edit(text: str) -> str:
        text = jsontext.put(text if text.strip() else "{}\n", HELPER, helper)
        return jsontext.put(text, BASE_URL, f"http://127.0.0.1:{port}")

    return (Goal(settings(environ, home), "json", edit, (HELPER, BASE_URL)),)


def hidden(tree: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """Variables that Claude Code would take instead, from its settings or from this shell."""
    filed = tree.get("env")
    return [name for name in HIDING if environ.get(name) or (isinstance(filed, dict) and filed.get(name))]
