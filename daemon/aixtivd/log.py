"""The log: one JSON object a line on stderr, with the event's name and flat facts. Never a secret.

A field can be a string, a number, a bool or None; anything else is a mistake of ours, and is written as its type's
name, so that no structure with a secret inside can slip through.
"""

import logging
import sys
import time
import traceback
from pathlib import Path

import msgspec

Fact = str | int | float | bool | None

_logger = logging.getLogger("aixtivd")
_json = msgspec.json.Encoder()


def to_stderr(level: str = "info") -> None:
    """Sends this log, and what libraries warn of, to stderr. `level`: debug, info, warning, error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries: their debug lines hold headers and bodies
    _logger.setLevel(level.upper())


def debug(event: str, **facts: Fact) -> None:
    _logger.debug(event, extra={"facts": facts})


def info(event: str, **facts: Fact) -> None:
    _logger.info(event, extra={"facts": facts})


def warning(event: str, **facts: Fact) -> None:
    _logger.warning(event, extra={"facts": facts})


def error(event: str, **facts: Fact) -> None:
    _logger.error(event, extra={"facts": facts})


def places(error: BaseException) -> str:
    """Where it was raised, as `file:line` only, innermost last: its text may quote anything."""
    frames = traceback.extract_tb(error.__traceback__)
    return " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


class _Lines(logging.Formatter):
    """Libraries' records are reduced to logger, level and the exception's type: their texts may quote anything."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Fact] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
        }
        if record.name == _logger.name:
            line["event"] = record.getMessage()
            facts: dict[str, Fact] = getattr(record, "facts", {})
            line |= {name: _flat(fact) for name, fact in facts.items()}
        else:
            line |= {"event": "library", "library": record.name}
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
        return _json.encode(line).decode()


def _flat(fact: object) -> Fact:
    return fact if fact is None or isinstance(fact, str | int | float | bool) else type(fact).__name__
