"""What can be said on the daemon's command line, and the config file as that says it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from aixtiv_protocol import VERSION
from aixtivd.config import Config, load
from aixtivd.errors import BadConfig


class Options(msgspec.Struct, frozen=True):
    config: Path | None = None  # None: the usual place, where there need not be a file
    level: str = ""  # of the log; empty: as the config says
    trial: Literal["", "config", "store"] = ""  # only says whether that is right
    words: tuple[str, ...] = ()  # as they were typed, for the daemon that takes this one's place


def options(arguments: Sequence[str]) -> Options:
    """Ends the process where there is nothing to go on with: `--help`, `--version`, a wrong word."""
    if not arguments:
        return Options()
    import argparse  # noqa: PLC0415  # heavy: a service has no options

    class Parser(argparse.ArgumentParser):
        """In the voice of the command, with its exit status for a wrong option (EX_USAGE)."""

        def error(self, message: str) -> NoReturn:
            self.exit(64, f"aixtivd: error: {message}\naixtivd: hint: aixtivd --help\n")

    parser = Parser(prog="aixtivd", description="Owns this person's OAuth2 credentials. Runs in the foreground.")
    parser.add_argument("--version", action="version", version=f"aixtivd {VERSION}")
    parser.add_argument("--config", type=Path, metavar="PATH", help="the config file, instead of the usual place")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="", dest="level")
    parser.add_argument(
        "--check-config",
        action="store_const",
        const="config",
        default="",
        dest="trial",
        help="say whether the config is right, and end",
    )
    # What an aixtivd asks of another one that is to take its place.
    parser.add_argument("--check-store", action="store_const", const="store", dest="trial", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    return Options(config=asked.config, level=asked.level, trial=asked.trial, words=tuple(arguments))


def read_config(path: Path, options: Options) -> Config:
    """Blocking. A file that was named has to be there. Raises BadConfig."""
    named = options.config
    try:
        there = named is None or named.exists()
    except OSError as error:  # below a folder that may not be entered, or a name that is too long
        reason = os.strerror(error.errno) if error.errno else "it has no path"
        raise BadConfig(f"{named} cannot be read: {reason}") from None
    if named is not None and not there:
        raise BadConfig(f"there is no config file {named}", hint=f"ls -l {named.parent}")
    return load(path)
