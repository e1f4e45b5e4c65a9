"""The files that an installation lays down, and what it has to remember to leave no trace: made folders, lingering."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import platformdirs
from msgspec import Struct, structs

from aixtiv.failures import AixtivError
from aixtiv.setup import files
from aixtiv.show import short

MARK: Final = "# Written by `aixtiv service install`. Your own changes: systemctl --user edit {}\n"
_OURS: Final = (MARK.partition(".")[0].encode(), b"[Socket]\nListenStream=127.0.0.1:")  # the port, which `setup` writes
_MODE: Final = 0o644  # a unit holds no secret, and a manager may warn of other modes


class Laid(Struct, frozen=True):
    folders: tuple[str, ...] = ()  # made for the files, the innermost first
    linger: bool = False  # it was us who had it enabled
    files: tuple[str, ...] = ()  # that have no mark of ours


def remembered() -> Laid:
    try:
        return msgspec.json.decode(files.contents(_record()) or b"{}", type=Laid)
    except msgspec.DecodeError:
        return Laid()


def remember(laid: Laid) -> None:
    files.write(_record(), msgspec.json.encode(laid), mode=0o600)


def _record() -> Path:
    return Path(platformdirs.user_state_dir("aixtiv")) / "service.json"


def differing(wanted: Mapping[Path, str]) -> tuple[Path, ...]:
    """Those that are missing, or not as they should be. Raises Unfit for a link or another's file."""
    return tuple(path for path, text in wanted.items() if files.contents(path) != text.encode())


def check_ours(paths: Iterable[Path]) -> None:
    """Raises AixtivError for one that a person wrote: that is neither replaced nor removed. Unfit as `differing`."""
    known = remembered()
    for path in paths:
        text = files.contents(path)
        if text is not None and not text.startswith(_OURS) and str(path) not in known.files:
            raise AixtivError(f"{short(str(path))} was not written by aixtiv, and stays", hint=f"mv {path} {path}.mine")


def lay(wanted: Mapping[Path, str]) -> bool:
    """Whether anything had to be written. The record comes first, so that a crash is undone, too."""
    if not (changed := differing(wanted)):
        return False
    check_ours(changed)
    known = remembered()
    unmarked = {str(path) for path, text in wanted.items() if not text.encode().startswith(_OURS)}
    made = dict.fromkeys(str(folder) for path in changed for folder in files.missing(path))
    folders = sorted({*made, *known.folders}, key=len, reverse=True)
    remember(structs.replace(known, folders=tuple(folders), files=tuple(sorted(unmarked.union(known.files)))))
    for path in changed:
        files.write(path, wanted[path].encode(), mode=_MODE)
    return True


def take_away(paths: Iterable[Path]) -> None:
    """The files, the folders that were made for them and are empty now, and the record."""
    known = remembered()
    for path in paths:
        if path.is_file() and not path.is_symlink():
            files.remove(path)
            if path.parent.name.endswith(".d"):
                files.remove_empty([path.parent])
    files.remove_empty([Path(folder) for folder in known.folders])
    files.remove(_record())
    files.remove_empty([_record().parent])  # where no daemon ever put anything
