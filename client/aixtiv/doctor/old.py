"""The old command's files, as far as they say how Claude is called: where, with which version, in which header."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from aixtiv import settings
from aixtiv.doctor.finding import Finding, Repair, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.failures import AixtivError
from aixtiv.filed import Misread, edit
from aixtiv.setup import files, jsontext
from aixtiv.show import short
from aixtiv.table import Text

HEADER: Final = "anthropic-api-key"  # which the old command sent, and no API ever knew


class Said(Struct, frozen=True):
    """One setting, and where it stands."""

    where: str  # "CLAUDE_API_ENDPOINT", or a file and a key
    value: str
    text: Text | None = None  # of a file

    def mended(self, value: str | None) -> Repair | None:
        """Writes another value there, or (None) takes the key out; the file as it was is kept beside it."""
        if self.text is None or (
            value and self.text.unsaid(value) != value
        ):  # what a variable holds is not written down
            return None
        file, keys = Path(self.text.file), self.text.keys
        what = f"set {keys[-1]} to {value}" if value else f"took {keys[-1]} out"

        def mend() -> None:
            text = files.read(file)
            try:
                changed = jsontext.put(text, keys, value) if value else jsontext.drop(text, keys)
            except jsontext.Broken as error:
                raise Misread(f"{file}: {error}", hint=edit(file)) from None
            if files.contents(_spare(file)) is None:  # the first one is as it was before aixtiv
                files.write(_spare(file), text.encode(), mode=0o600)
            files.write(file, changed.encode())

        return Repair(f"{what} in {short(str(file))} (as it was: {short(str(_spare(file)))})", mend)

    @property
    def hint(self) -> str:
        return edit(self.text.file) if self.text else f"unset {self.where}"


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


def nothing(situation: Situation, name: str, sentence: str) -> Finding:
    """Of a check to which nothing was said: as it should be, unless by a file that says what cannot be used."""
    try:
        settings.api(situation.environ)
    except Misread:
        return skipped(name, f"{settings.API} is not asked: see old-config")
    return fine(name, sentence)


def unsaid(situation: Situation, finding: Finding) -> Finding:
    """One that may quote what the file says, with the names of its variables in the place of their values."""
    try:
        api = settings.api(situation.environ)
    except Misread:
        return finding
    return structs.replace(finding, sentence=api.unsaid(finding.sentence), hint=api.unsaid(finding.hint))


def endpoints(situation: Situation) -> list[Said]:
    """Every place that says where Claude is called, the one that counts first."""
    environ = situation.environ
    found = [Said(name, environ.get(name, "").strip()) for name in ("CLAUDE_API_ENDPOINT", "DR_CLAUDE_API")]
    if file := _file(situation):
        found.append(_said(file.endpoint))
    return [said for said in found if "://" in said.value]


def versions(situation: Situation) -> list[Said]:
    found = [
        Said("ANTHROPIC_CUSTOM_HEADERS", value)
        for name, value in custom_headers(situation)
        if name == "anthropic-version"
    ]
    file = _file(situation)
    return [*found, _said(file.version)] if file and file.version.keys else found


def headers(situation: Situation) -> list[Said]:
    """Every place that names the header which does not exist."""
    found = [Said("ANTHROPIC_CUSTOM_HEADERS", "") for name, _ in custom_headers(situation) if name == HEADER]
    if file := _file(situation):
        found += [_said(Text(str(file.path), keys)) for keys in _naming(file.tree)]
    return found


def custom_headers(situation: Situation) -> list[tuple[str, str]]:
    """Claude Code's `Name: value`, one a line."""
    lines = situation.environ.get("ANTHROPIC_CUSTOM_HEADERS", "").splitlines()
    pairs = (line.partition(":") for line in lines)
    return [(name.strip().lower(), value.strip()) for name, colon, value in pairs if colon]


def _file(situation: Situation) -> settings.ApiFile | None:
    """As every other command reads it: what they refuse is nothing that a check could go by."""
    try:
        settings.api(situation.environ)
        return settings.api_file(situation.environ)
    except Misread:
        return None  # `old-config` says so


def _said(text: Text) -> Said:
    return Said(f"{short(text.file)}: {'.'.join(text.keys)}", text.meant, text)


def _naming(tree: object, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Keys down to where the header is named, as a key or as a text. `filed` bounds how deep that is."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key.lower() == HEADER or (isinstance(value, str) and value.strip().lower() == HEADER):
            yield (*at, key)
        yield from _naming(value, (*at, key))
