"""An entry for the bridge among the MCP servers of a tool that starts them by itself."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from aixtiv.setup import diff, jsontext, record
from aixtiv.setup.goal import Goal
from aixtiv.setup.record import Undone
from aixtiv.setup.work import Ask

Tool = Literal["claude-desktop", "claude-code"]

TITLES: Final[Mapping[Tool, str]] = {"claude-desktop": "Claude Desktop", "claude-code": "Claude Code"}
KEY: Final = "mcpServers"


def file(tool: Tool, environ: Mapping[str, str], home: Path) -> Path:
    """Where the tool keeps the servers that a person has in every project."""
    if tool == "claude-code":
        return Path(environ.get("CLAUDE_CONFIG_DIR") or home) / ".claude.json"
    if sys.platform == "darwin":
        return home / "Library/Application Support/Claude/claude_desktop_config.json"
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "Claude/claude_desktop_config.json"


def goals(path: Path, command: Path, name: str) -> tuple[Goal, ...]:
    """`type` is what Claude Code wants to be told, and nobody else minds."""
    entry = {"type": "stdio", "command": str(command), "args": ["mcp", name]}

    def edit(text: str) -> str:
        return jsontext.put(text if text.strip() else "{}\n", (KEY, name), entry)

    return (Goal(path, "json", edit, ((KEY, name),)),)


def do(tool: Tool, name: str, changes: tuple[Goal, ...], ask: Ask) -> bool | None:
    """Whether anything was changed; None: the person did not agree. Raises AixtivError."""
    kept = record.load(_called(tool, name))
    pending = record.pending(changes, kept)
    if all(change.now == change.after for change in pending):
        return False
    if not ask(list(diff.lines(pending)), f"give {TITLES[tool]} the server {name}"):
        return None
    record.apply(kept, pending)
    return True


def undo(tool: Tool, name: str, ask: Ask) -> list[Undone] | None:
    """None: there is nothing to undo, or the person did not agree. Raises AixtivError."""
    kept = record.load(_called(tool, name))
    if not kept.made_at:
        return None
    lines = [line for step in record.reverted(kept) for line in diff.unified(*step)]
    return record.undo(kept) if ask(lines, f"take the server {name} from {TITLES[tool]}") else None


def _called(tool: Tool, name: str) -> str:
    """Of a folder: a name may have slashes in it."""
    return f"{tool} mcp {name.replace('/', '%')}"
