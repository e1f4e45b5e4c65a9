"""The config file: one TOML file into one frozen Struct, all of it or nothing."""

import os
import shlex
import stat
from pathlib import Path

import msgspec

from aixtivd.config.bounds import check
from aixtivd.config.tables import (
    AccessConfig,
    AccountConfig,
    ApiConfig,
    AuditConfig,
    ClaudeConfig,
    Config,
    HooksConfig,
    McpConfig,
    Network,
    NoticesConfig,
    ProviderConfig,
    Publish,
    RefreshConfig,
    Rule,
    ServiceConfig,
    VaultConfig,
    Who,
)
from aixtivd.config.words import in_one_line, in_words
from aixtivd.errors import BadConfig

__all__ = [
    "AccessConfig",
    "AccountConfig",
    "ApiConfig",
    "AuditConfig",
    "ClaudeConfig",
    "Config",
    "HooksConfig",
    "McpConfig",
    "Network",
    "NoticesConfig",
    "ProviderConfig",
    "Publish",
    "RefreshConfig",
    "Rule",
    "ServiceConfig",
    "VaultConfig",
    "Who",
    "load",
]


def load(path: Path) -> Config:
    """The config at `path`, or the defaults where there is no file. Raises BadConfig with file, key and expectation."""
    try:
        held = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO opens without its writer
        try:
            _check_file(path, os.fstat(held))
            with open(held, encoding="utf-8-sig", closefd=False) as file:  # some editors put a mark first
                text = file.read()
        finally:
            os.close(held)
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path} cannot be read: {_reason(error)}") from None
    import tomllib  # noqa: PLC0415  # heavy: where there is a file

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise BadConfig(f"{path} is not TOML: it is nested too deeply") from None
    except ValueError:  # behind the class of its own: a number of more than 4300 digits, a year 0
        raise BadConfig(f"{path} is not TOML that can be read: a number or a date in it is none") from None
    try:
        config = msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        raise BadConfig(f"{path}: {in_one_line(in_words(str(error), tables))}") from None
    try:
        check(config, path)
    except BadConfig as error:
        raise BadConfig(in_one_line(error.sentence), hint=error.hint) from None
    return config


def _check_file(path: Path, found: os.stat_result) -> None:
    """Whoever can write it can send client secrets where they like: a user's group of their own may, others may not."""
    if not stat.S_ISREG(found.st_mode):
        raise BadConfig(f"{path} is not a plain file", hint=f"ls -l {shlex.quote(str(path))}")
    if found.st_uid not in (os.geteuid(), 0):
        raise BadConfig(f"{path} belongs to another user", hint=f"ls -l {shlex.quote(str(path))}")
    if found.st_mode & 0o002:
        raise BadConfig(f"{path} can be written by everybody", hint=f"chmod o-w {shlex.quote(str(path))}")


def _reason(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is not UTF-8"
