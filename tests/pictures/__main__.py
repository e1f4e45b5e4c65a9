"""`make pictures`: the pictures of the documents, made anew by typing what they show."""

import argparse
import sys
import tempfile
from pathlib import Path

from docs.pages import ROOT, Opposite, desk, opposite
from pictures.drawing import svg
from pictures.scenes import PAGES, TERMINALS

PLACE = ROOT / "docs/pictures"


def made(name: str, servers: Opposite, place: Path) -> Path:
    """The file of that picture."""
    with tempfile.TemporaryDirectory(prefix="aix-", dir="/tmp") as folder, desk(servers, Path(folder)) as at:
        servers.server.renew()
        if name in PAGES:
            path = place / f"{name}.png"
            PAGES[name](at, path)
        else:
            path = place / f"{name}.svg"
            path.write_text(svg(name, "aixtiv", TERMINALS[name](at)), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join((*TERMINALS, *PAGES))}")
    names = parser.parse_args().names or [*TERMINALS, *PAGES]
    PLACE.mkdir(exist_ok=True)
    with opposite() as servers:
        for name in names:
            print(made(name, servers, PLACE), file=sys.stderr)


if __name__ == "__main__":
    main()
