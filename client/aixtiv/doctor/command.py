"""Which `aixtiv` wins on the PATH: the command that this one replaces had the same name."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from aixtiv import filed
from aixtiv.doctor.finding import Finding, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.show import short

NAME: Final = "command"


class Other(Struct, frozen=True):
    """A file named aixtiv that is not this command."""

    path: Path
    old: bool  # it is run by Node: the command that this one replaces
    package: str = ""  # as npm knows it


def check(situation: Situation) -> Iterator[Finding]:
    ours, found = situation.command, _on_path(situation.environ.get("PATH", ""))
    others = [_other(path) for path in found if not _same(path, ours)]
    place = next((number for number, path in enumerate(found) if _same(path, ours)), len(found))
    before = {str(path) for path in found[:place]}
    bad = [other for other in others if other.old or str(other.path) in before]
    yield from (_complaint(other, ours, wins=str(other.path) in before) for other in bad)
    if bad:
        return
    if place == len(found):
        yield skipped(NAME, f"{short(str(ours))} is not on the PATH", f'export PATH="{ours.parent}:$PATH"')
    else:
        yield fine(NAME, f"`aixtiv` is {short(str(ours))}, and no older one is on the PATH")


def _complaint(other: Other, ours: Path, *, wins: bool) -> Finding:
    kind = "the older command, for Node," if other.old else "another aixtiv"
    who = "wins over" if wins else "stands on the PATH behind"
    remove = f"npm uninstall -g {other.package}" if other.package else f"rm {shlex.quote(str(other.path))}"
    return wrong(NAME, f"{short(str(other.path))}: {kind} {who} this one at {short(str(ours))}", remove)


def _on_path(path: str) -> list[Path]:
    """Every executable aixtiv, in the order in which a shell looks; a folder that is there under two names once."""
    found: list[Path] = []
    for folder in path.split(os.pathsep):
        file = Path(folder or ".") / "aixtiv"
        if file.is_file() and os.access(file, os.X_OK) and not any(_same(file, seen) for seen in found):
            found.append(file)
    return found


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _other(path: Path) -> Other:
    real = path.resolve()
    return Other(path, _is_node(real), _package(real))


def _is_node(real: Path) -> bool:
    try:
        with real.open("rb") as file:
            head = file.read(200).split(b"\n", 1)[0]
    except OSError:
        return False
    return (
        "node_modules" in real.parts or (head.startswith(b"#!") and b"node" in head) or real.suffix in {".js", ".mjs"}
    )


def _package(real: Path) -> str:
    """The npm package around a file, where there is one."""
    for folder in real.parents:
        try:
            manifest = filed.tree(folder / "package.json")
        except (FileNotFoundError, filed.Misread):
            continue
        name = manifest.get("name") if isinstance(manifest, dict) else None
        return shlex.quote(name) if isinstance(name, str) else ""
    return ""
