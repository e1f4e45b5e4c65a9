"""The config's `[mcp.NAME]` tables, written and taken out; the daemon has to like what is written."""

from pathlib import Path
from typing import Any

from aixtiv.client import Client
from aixtiv.failures import AixtivError, Usage
from aixtiv.mcp.servers import Server
from aixtiv.setup import files


def write(config: Path, server: Server, client: Client) -> None:
    """Raises Usage where there is one of that name, and AixtivError where the daemon refuses it: then nothing is."""
    document = _parsed(config)
    table = document.setdefault("mcp", _super_table())
    if server.name in table:
        raise Usage(f"there is a server {server.name} already", hint=f"aixtiv mcp remove {server.name}")
    table[server.name] = _table(server)
    _save(config, document, client)


def remove(config: Path, name: str, client: Client) -> None:
    document = _parsed(config)
    if name not in document.get("mcp", {}):
        raise Usage(f"no MCP server is called {name!r}", hint="aixtiv mcp list")
    del document["mcp"][name]
    if not document["mcp"]:
        del document["mcp"]
    _save(config, document, client)


def _table(server: Server) -> Any:
    import tomlkit  # noqa: PLC0415  # heavy: only where the config is changed

    table = tomlkit.table()
    for name in ("url", "account", "transport", "client_id", "client_id_metadata", "scopes"):
        value = getattr(server, name)
        if value and (name, value) != ("transport", "auto"):
            table[name.replace("_", "-")] = list(value) if isinstance(value, tuple) else value
    return table


def _super_table() -> Any:
    import tomlkit  # noqa: PLC0415  # heavy: as above

    return tomlkit.table(is_super_table=True)


def _parsed(config: Path) -> Any:
    import tomlkit  # noqa: PLC0415  # heavy: as above
    import tomlkit.exceptions  # noqa: PLC0415  # heavy: as above

    try:
        return tomlkit.parse(files.read(config))
    except tomlkit.exceptions.TOMLKitError as error:
        raise AixtivError(f"{config} is not TOML: {error}", hint="aixtiv config check") from None


def _save(config: Path, document: Any, client: Client) -> None:
    before = files.contents(config)
    text = document.as_string().rstrip("\n")  # what was taken from the end leaves a blank line
    files.write(config, f"{text}\n".encode() if text else b"")
    try:
        client.reload()
    except AixtivError:
        if before is None:
            files.remove(config)
        else:
            files.write(config, before)
        raise
