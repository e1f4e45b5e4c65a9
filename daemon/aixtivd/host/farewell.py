"""What goes wrong with the daemon itself, told to the person on stderr and to the log; never a text that may quote."""

import asyncio
import sys
from typing import Final

from aixtivd import log
from aixtivd.errors import AixtivError, NotReplaced

NOT_REPLACED: Final = 71  # sysexits.h, EX_OSERR: unlike 1, what a service manager answers with another start


def unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What asyncio has to tell: kinds and places only, since its texts quote arguments."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        log.error("unhandled", exception=type(error).__name__, where=log.places(error))
    else:
        log.error("unhandled")


def _innermost(error: BaseException) -> BaseException:
    """Out of the groups in which a task group raises."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def give_up(group: BaseException) -> int:
    """Of a daemon that cannot start or go on: its exit status."""
    error = _innermost(group)
    if not isinstance(error, AixtivError):
        kind = type(error).__name__
        log.error("defect", exception=kind, where=log.places(error))
        error = AixtivError(f"a defect in aixtiv ({kind}); the line above says where")
    log.error("ended", reason=error.sentence)
    say(error)
    return NOT_REPLACED if isinstance(error, NotReplaced) else 1


def say(error: AixtivError) -> None:
    for kind, text in (("error", error.sentence), ("hint", error.hint)):
        if text:
            sys.stderr.write(f"aixtivd: {kind}: {text}\n")
