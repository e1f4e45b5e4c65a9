"""Where this very command is, and under which name it goes on being there."""

import os
import shutil
import sys
from pathlib import Path


def file() -> Path:
    """The `aixtiv` that runs, or the one beside this Python."""
    called = Path(sys.argv[0])
    if called.name == "aixtiv" and called.is_file():
        return called.absolute()
    return Path(sys.executable).parent / "aixtiv"


def lasting() -> Path:
    """Its absolute path for other tools' settings: the PATH's own, where that leads here, since an upgrade keeps it."""
    ours, found = file(), shutil.which("aixtiv")
    if found and ours.exists() and ours.samefile(found):
        return Path(os.path.abspath(found))  # noqa: PTH100  # unlike resolve, it follows no link
    return ours
