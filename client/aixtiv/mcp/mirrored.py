"""Which of a tool's arguments stand in a header too, so that a server can route by them (MCP 2026-07-28, SEP-2243)."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from aixtiv.mcp import messages

MOST: Final = 4096
"""Tools that are remembered, and arguments of one: a server that lists without an end is not kept in memory."""

_MARK: Final = "x-mcp-header"
_TYPES: Final = ("string", "integer", "boolean")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")  # RFC 9110 §5.6.2

Path = tuple[str, ...]


class _Tool(Struct, frozen=True):
    name: str
    schema: dict[str, Any] = msgspec.field(default_factory=dict, name="inputSchema")


class _Tools(Struct, frozen=True):
    tools: list[_Tool] = msgspec.field(default_factory=list)


class _Listed(Struct, frozen=True):
    result: _Tools = msgspec.field(default_factory=_Tools)


class _Arguments(Struct, frozen=True):
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class _Called(Struct, frozen=True):
    params: _Arguments = msgspec.field(default_factory=_Arguments)


_listed: Final = msgspec.json.Decoder(_Listed)
_called: Final = msgspec.json.Decoder(_Called)


class Mirrored:
    def __init__(self) -> None:
        self._tools: dict[str, dict[Path, str]] = {}  # those that have any

    def learn(self, raw: bytes) -> None:
        """From what answers `tools/list`; anything else says nothing."""
        try:
            tools = _listed.decode(raw).result.tools
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        for tool in tools:
            self._tools.pop(tool.name, None)
            marked = dict(_marked(tool.schema))
            if marked and len(self._tools) < MOST:
                self._tools[tool.name] = marked

    def headers(self, message: messages.Message) -> tuple[tuple[str, str], ...]:
        """Of a call to a tool that was listed."""
        if message.method != "tools/call" or not (marked := self._tools.get(message.subject)):
            return ()
        try:
            arguments = _called.decode(message.raw).params.arguments
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()
        found = ((name, _shown(_at(arguments, path))) for path, name in marked.items())
        return tuple((f"mcp-param-{name}", shown) for name, shown in found if shown is not None)


def _marked(schema: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """By the way from the schema's root, by `properties` alone. One that no header can be called by is left out."""
    seen: set[str] = set()
    waiting: list[tuple[Path, Any]] = [((), schema)]
    while waiting:
        path, here = waiting.pop()
        below = here.get("properties")
        for name, one in below.items() if isinstance(below, dict) else ():
            if not isinstance(one, dict):
                continue
            header = one.get(_MARK)
            if isinstance(header, str) and _TOKEN.fullmatch(header) and one.get("type") in _TYPES:
                if header.lower() in seen or len(seen) >= MOST:
                    continue
                seen.add(header.lower())
                yield (*path, name), header
            waiting.append(((*path, name), one))


def _at(arguments: Any, path: Path) -> Any:
    for name in path:
        if not isinstance(arguments, dict):
            return None
        arguments = arguments.get(name)
    return arguments


def _shown(value: Any) -> str | None:
    """None: there is nothing that a header could say of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return messages.shown(str(value)) if isinstance(value, str | int | float) else None
