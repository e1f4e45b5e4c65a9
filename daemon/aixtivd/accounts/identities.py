"""Where the identity token of a federation comes from: a file, a command, or another account's sign-in."""

import os
import shlex
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import anyio.to_thread

from aixtiv_protocol.requests import Federation
from aixtiv_protocol.secret import Secret
from aixtivd.accounts.book import Book, Entry
from aixtivd.accounts.grant import moment
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, Misconfigured, SignInNeeded, Unreachable, WaitedTooLong
from aixtivd.host import program
from aixtivd.oauth import federation

_PATIENCE: Final = 30.0  # seconds for a command, and for another account's refresh
_OTHERS_MAY_WRITE: Final = 0o022
_EVERYBODY: Final = "4294967295"  # user_namespaces(7): as many uids as there are
_NOBODY: Final = 65534  # the kernel's own choice, where it was not changed

Another = Callable[[Entry, float], Awaitable[None]]
"""Until an account has another generation, by one refresh however many ask; raises why not before the deadline."""


class Identities:
    def __init__(self, book: Book, clock: Clock, another: Another) -> None:
        self._book = book
        self._clock = clock
        self._another = another

    async def token(self, source: Federation) -> Secret:
        """Asked for anew each time. Raises AixtivError; SignInNeeded names the account that has to be signed in to."""
        if source.identity_file:
            return await anyio.to_thread.run_sync(_in_file, source.identity_file, abandon_on_cancel=True)
        if source.identity_command:
            return await _printed(source.identity_command)
        try:
            return await self.of_account(source.identity_account)
        except WaitedTooLong as failure:
            raise Unreachable(f"the identity of {source.identity_account}: {failure.sentence}") from None
        except AixtivError as failure:
            raise type(failure)(
                f"the identity of {source.identity_account}: {failure.sentence}", hint=failure.hint
            ) from None

    async def of_account(self, name: str) -> Secret:
        """The ID token of its sign-in, renewed where it is over. Raises AixtivError."""
        entry = self._book.named(name)
        if entry.grant.kind != "oauth":
            what = (
                "is an API key" if entry.grant.kind == "api-key" else f"has its tokens from a {entry.grant.kind} source"
            )
            raise Misconfigured(
                f"nobody signs in to {name}, which {what}: it has no ID token",
                hint="aixtiv login NAME --issuer URL --client-id ID",
            )
        if entry.grant.id_token is None:
            scopes = " ".join(dict.fromkeys(("openid", *entry.grant.scopes)))
            raise Misconfigured(
                f"{name} has no ID token, since its sign-in asked for none",
                hint=f"aixtiv login {name} --scope {shlex.quote(scopes)}",
            )
        if not self._good(entry):
            await self._renewed(entry)
        return entry.grant.id_token or Secret("")  # a renewal takes none away

    async def _renewed(self, entry: Entry) -> None:
        grant = entry.grant
        hint = f"aixtiv login {grant.name}"
        ended = f"the ID token of {moment(grant.id_token_at)} is over"
        if not entry.renewable and not entry.problem and not grant.quarantined:
            raise SignInNeeded(f"{ended}, and its issuer gave no refresh token", hint=hint)
        if grant.id_token_at >= grant.refreshed_at:  # else the refresh before brought none, and the next will not
            await self._another(entry, self._clock.steady() + _PATIENCE)
        if entry.grant.id_token == grant.id_token:  # a new one counts whatever our clock thinks of it
            raise SignInNeeded(f"{ended}, and its issuer gives no other on a refresh", hint=hint)

    def _good(self, entry: Entry) -> bool:
        return entry.grant.id_token is not None and federation.good_for(entry.grant.id_token, self._clock.wall()) > 0


async def _printed(command: tuple[str, ...]) -> Secret:
    try:
        found = federation.as_assertion(await program.output_of(command, _PATIENCE))
    except program.Failed as failure:
        raise Unreachable(f"{command[0]} {failure}; {UNSAID}", hint=by_hand(command)) from None
    if found is None:
        raise Misconfigured(f"{command[0]} prints no identity token (a JWT)", hint=by_hand(command))
    return found


UNSAID: Final = "what it says itself is not shown here: run it yourself"


def by_hand(command: tuple[str, ...]) -> str:
    """For a person to see what it says; the result stays off the screen."""
    return f"{shlex.join(command)} > /dev/null"


def _in_file(path: str) -> Secret:
    """Blocking. Whoever may write it says who we are, so that others may not."""
    hint = f"ls -l {shlex.quote(path)}"
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would wait for a writer
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise Misconfigured(f"the identity file {path} is no regular file", hint=hint)
            if found.st_uid not in _owners() or found.st_mode & _OTHERS_MAY_WRITE:
                raise Misconfigured(f"the identity file {path} can be written by others", hint=hint)
            text = os.read(file, federation.LONGEST + 1024).decode("ascii", errors="replace")
        finally:
            os.close(file)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else "it is gone"
        raise Unreachable(f"the identity file {path} cannot be read: {reason}", hint=hint) from None
    assertion = federation.as_assertion(text)
    if assertion is None:
        raise Misconfigured(f"the identity file {path} holds no identity token (a JWT)", hint=hint)
    return assertion


def _owners(proc: Path = Path("/proc")) -> set[int]:
    """Us and root; in a user namespace that has no root (the systemd unit's), root is nobody like everybody else."""
    owners = {os.geteuid(), 0}
    try:
        whole = (proc / "self/uid_map").read_text(encoding="ascii").split()[2] == _EVERYBODY
    except (OSError, IndexError, ValueError):
        return owners  # not Linux
    if not whole:
        try:
            owners.add(int((proc / "sys/kernel/overflowuid").read_text(encoding="ascii")))
        except (OSError, ValueError):  # the unit's `ProcSubset=pid` hides it
            owners.add(_NOBODY)
    return owners
