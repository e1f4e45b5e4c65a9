"""Passphrases as commands ask for them, and what is said to a wrong one or a short one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aixtiv import show
from aixtiv.commands import options
from aixtiv.failures import AixtivError, Locked

SHORT: Final = 12  # characters below which a passphrase can be guessed by whoever has what it seals


def present() -> str:
    """The vault's own."""
    return options.secret("the vault's passphrase")


def new(of: str) -> str:
    """Typed twice; of `the vault` or `the backup`."""
    return options.secret(f"a passphrase for {of}", again="the same again")


def doubt(passphrase: str, what: str) -> None:
    """`what`: that it seals."""
    if len(passphrase) < SHORT:
        show.warning(f"a passphrase of {len(passphrase)} characters can be guessed by whoever has {what}")


@contextmanager
def of_an_open_vault(again: str) -> Iterator[None]:
    """A wrong passphrase is no locked vault: not `aixtiv unlock` helps, but the same command, `again`."""
    try:
        yield
    except Locked as failure:
        if failure.code != "key_failed":
            raise
        hint = again if failure.hint in {"", "aixtiv unlock"} else failure.hint
        raise AixtivError(failure.sentence, hint=hint) from None
