"""Looks for secrets where none may be: in files, in what was printed, in argument lists and environments."""

import base64
import threading
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Self

PREFIX: Final = 12  # characters of a secret that already give it away: a shortened one is found too


def leaks(secrets: Iterable[str], places: Mapping[str, bytes]) -> list[str]:
    """The names of the places that hold one of these: as it is, cut short, percent-encoded, in hex or base64."""
    needles = {needle for secret in secrets for needle in _disguises(secret)}
    return sorted(name for name, content in places.items() if any(needle in content for needle in needles))


def _disguises(secret: str) -> set[bytes]:
    assert len(secret) >= PREFIX, f"{secret!r} would be found anywhere"
    start = secret[:PREFIX].encode()
    quoted = urllib.parse.quote(secret, safe="").encode()[:PREFIX]
    # 9 bytes of a secret make 12 characters of base64 that do not depend on what follows
    return {start, quoted, start.hex().encode(), base64.b64encode(start[:9]), base64.urlsafe_b64encode(start[:9])}


def files_under(*folders: Path) -> dict[str, bytes]:
    """Every file's content by its path, and every path by itself: a file's name can tell, too."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    names = {f"the name {path}": str(path.name).encode() for path in paths}
    return names | {str(path): path.read_bytes() for path in paths if path.is_file()}


class ProcessList:
    """While its block runs: argument lists and environments of every process whose HOME is that one (Linux).

    It looks as often as it can; a process that lives less than some milliseconds can be missed.
    """

    def __init__(self, home: Path) -> None:
        self.seen: Final[dict[str, bytes]] = {}
        self._mark = f"HOME={home}\0".encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="process-list", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            for process in Path("/proc").glob("[0-9]*"):
                self._note(process)

    def _note(self, process: Path) -> None:
        try:
            environ = (process / "environ").read_bytes()
            if self._mark not in environ:
                return
            arguments = (process / "cmdline").read_bytes()
        except OSError:
            return  # it ended meanwhile, or forbids to look (PR_SET_DUMPABLE 0, where we are not root)
        line = arguments.replace(b"\0", b" ").decode(errors="replace")
        self.seen[f"arguments of {line}"] = arguments
        self.seen[f"environment of {line}"] = environ
