"""The old command's files, as far as they say how Claude is called: where, with which version, in which header."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from aixtiv import settings
from aixtiv.doctor.finding import Finding, Repair, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.failures import AixtivError
from aixtiv.setup import files, jsontext
from aixtiv.show import short
from aixtiv.table import plain

HEADER: Final = "anthropic-api-key"  # which the old command sent, and no API ever knew


class Said(Struct, frozen=True):
    """One setting, and where it stands."""

    where: str  # "CLAUDE_API_ENDPOINT", or a file and a key
    value: str
    file: Path | None = None
    keys: tuple[str, ...] = ()  # down to the value, in the file's own spelling

    def mended(self, value: str | None) -> Repair | None:
        """Writes another value there, or (None) takes the key out; the file as it was is kept beside it."""
        file = self.file
        if file is None:
            return None
        what = f"set {self.keys[-1]} to {value}" if value else f"took {self.keys[-1]} out"

        def mend() -> None:
            text = files.read(file)
            if files.contents(_spare(file)) is None:  # the first one is as it was before aixtiv
                files.write(_spare(file), text.encode(), mode=0o600)
            changed = jsontext.put(text, self.keys, value) if value else jsontext.drop(text, self.keys)
            files.write(file, changed.encode())

        return Repair(f"{what} in {short(str(file))} (as it was: {short(str(_spare(file)))})", mend)

    @property
    def hint(self) -> str:
        return f"$EDITOR {self.file}" if self.file else f"unset {self.where}"


def _spare(file: Path) -> Path:
    return file.with_name(file.name + ".before-aixtiv")


def check_files(situation: Situation) -> Iterator[Finding]:
    """Every one that is there can be read; one in the working directory is not looked at, and that is said."""
    there = [
        path
        for folder in settings.folders(situation.environ)
        for name in settings.NAMES
        if (path := folder / name).is_file()
    ]
    strays = settings.strays(situation.environ, situation.here)
    try:
        settings.api(situation.environ)
        settings.found_for(situation.environ, "anthropic", situation.account or "anthropic")
    except AixtivError as failure:
        yield wrong("old-config", failure.sentence, failure.hint)
        return
    if strays:
        folder = settings.folders(situation.environ)[-1]
        sentence = f"{' and '.join(strays)} in this folder is not read: a cloned repository could bring one"
        yield skipped("old-config", sentence, f"mv {' '.join(strays)} {short(str(folder))}/")
    elif there:
        yield fine("old-config", f"{', '.join(short(str(path)) for path in there)} can be read")
    else:
        yield skipped("old-config", "none of the old command's files is here")


def endpoints(situation: Situation) -> list[Said]:
    """Every place that says where Claude is called, the one that counts first."""
    environ = situation.environ
    found = [Said(name, environ.get(name, "").strip()) for name in ("CLAUDE_API_ENDPOINT", "DR_CLAUDE_API")]
    found += filed(situation, "endpoint", "url")
    return [said for said in found if "://" in said.value]


def versions(situation: Situation) -> list[Said]:
    found = [
        Said("ANTHROPIC_CUSTOM_HEADERS", value)
        for name, value in custom_headers(situation)
        if name == "anthropic-version"
    ]
    return found + filed(situation, "version", "anthropicversion")


def headers(situation: Situation) -> list[Said]:
    """Every place that names the header which does not exist."""
    found = [Said("ANTHROPIC_CUSTOM_HEADERS", "") for name, _ in custom_headers(situation) if name == HEADER]
    file = api_file(situation)
    if file:
        found += [Said(f"{short(str(file))}: {'.'.join(keys)}", "", file, keys) for keys in _naming(_tree(file))]
    return found


def custom_headers(situation: Situation) -> list[tuple[str, str]]:
    """Claude Code's `Name: value`, one a line."""
    lines = situation.environ.get("ANTHROPIC_CUSTOM_HEADERS", "").splitlines()
    pairs = (line.partition(":") for line in lines)
    return [(name.strip().lower(), value.strip()) for name, colon, value in pairs if colon]


def api_file(situation: Situation) -> Path | None:
    """api-config.json, the one that counts."""
    return next(
        (path for folder in settings.folders(situation.environ) if (path := folder / settings.API).is_file()), None
    )


def filed(situation: Situation, *spellings: str) -> list[Said]:
    """A text of api-config.json's `claude.api`, by any of the key's spellings."""
    file = api_file(situation)
    if file is None:
        return []
    tree: Any = _tree(file)
    at: tuple[str, ...] = ()
    for name in ("claude", "api"):
        key = next((key for key in tree if plain(key) == name), "") if isinstance(tree, dict) else ""
        if key:
            tree, at = tree[key], (*at, key)
    if not isinstance(tree, dict):
        return []
    found = [(key, value) for key, value in tree.items() if plain(key) in spellings and isinstance(value, str)]
    return [
        Said(f"{short(str(file))}: {'.'.join((*at, key))}", _expanded(value, situation), file, (*at, key))
        for key, value in found
    ]


def _expanded(value: str, situation: Situation) -> str:
    """`${VARIABLE}` as it counts; one that is not set is `old-config`'s to say."""
    return re.sub(r"\$\{(\w+)\}", lambda name: situation.environ.get(name[1], name[0]), value).strip()


def _naming(tree: object, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Keys down to where the header is named, as a key or as a text."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key.lower() == HEADER or (isinstance(value, str) and value.strip().lower() == HEADER):
            yield (*at, key)
        yield from _naming(value, (*at, key))


def _tree(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None  # `old-config` says so
