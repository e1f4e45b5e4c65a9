"""Waiting for a sign-in in front of a person: the browser, the callback and a pasted address, whichever comes first."""

import os
import select
import subprocess
import sys
import termios
import time
from typing import Final, Self

from aixtiv import browser, show
from aixtiv.client import Client
from aixtiv.failures import AixtivError, SignInFailed
from aixtiv.stream import Stream
from aixtiv.words import span
from aixtiv_protocol.replies import SignedIn, SignInStarted

_TICK: Final = 0.5  # seconds between looks at the browser's child, while it lives
_LATE: Final = 30.0  # seconds beyond a sign-in's life in which the daemon should have said so itself


class Keyboard:
    """Lines typed or pasted at a terminal, read without blocking and without being shown.

    Out of canonical mode, since a pasted address may be longer than the line a terminal holds there (1,024 bytes on
    macOS, 4,096 on Linux). Not shown, since it holds a code that scrollback should not keep.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._typed = bytearray()
        self._before: list[int | list[bytes | int]] | None = None
        self.open = os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()  # in the background the terminal is not ours

    def __enter__(self) -> Self:
        if self.open:
            self._before = termios.tcgetattr(self._fd)
            quiet = termios.tcgetattr(self._fd)
            quiet[3] &= ~(termios.ICANON | termios.ECHO)  # Ctrl-C (ISIG) stays
            termios.tcsetattr(self._fd, termios.TCSANOW, quiet)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def fileno(self) -> int:
        return self._fd

    def line(self) -> str:
        """The line that what is there completes; empty if it completes none."""
        data = os.read(self._fd, 4096)
        self.open = bool(data) and b"\x04" not in data  # Ctrl-D: nothing more will be typed
        for byte in data:
            if byte in (0x7F, 0x08):
                del self._typed[-1:]
            elif byte == 0x15:  # Ctrl-U
                self._typed.clear()
            else:
                self._typed.append(byte)
        head, end, rest = self._typed.replace(b"\r", b"\n").partition(b"\n")
        if not end:
            return ""
        self._typed[:] = rest
        return head.decode(errors="replace").strip()


def wait(
    client: Client, stream: Stream[SignInStarted | SignedIn], started: SignInStarted, *, open_browser: bool
) -> SignedIn:
    """Who signed in. Raises AixtivError; a KeyboardInterrupt leaves the sign-in open in the daemon."""
    child = browser.open_page(started.url) if open_browser else None
    with Keyboard(sys.stdin.fileno()) as keyboard:
        announce(started, opening=child is not None, can_paste=keyboard.open)
        return _until_done(client, stream, started, keyboard, child)


def announce(started: SignInStarted, *, opening: bool, can_paste: bool) -> None:
    """What the person should do, and what this command waits for."""
    joined(started)
    if opening:
        show.note(f"opening your browser to sign in to {started.account}; if it does not open, go to")
    else:
        show.note(f"to sign in to {started.account}, open this address in a browser")
    show.plain(f"\n{started.url}\n")
    if started.port and not opening:
        show.note("if that browser is on another machine, first run this on it")
        show.plain(f"\n{browser.tunnel(started.port, os.environ)}\n")
    if started.port:
        show.note(f"waiting at {started.redirect_uri} for {span(started.expires_in)}")
    if can_paste:
        either = "or paste" if started.port else "paste"
        show.note(f"{either} its last address, or the code it shows (it stays hidden)")
    elif not started.port:
        show.note(f"then, within {span(started.expires_in)}, hand in the browser's last address, or the code it shows")
        show.hint(finish(started.account))


def joined(started: SignInStarted) -> None:
    """That somebody has begun already, and how to begin anew all the same."""
    if started.joined:
        show.note(
            f"a sign-in to {started.account} is open already, and this is the same one; other options begin a new one"
        )


def finish(account: str) -> str:
    """The command that finishes a sign-in from another terminal. It asks for the address, so that no `ps` shows it."""
    return f"aixtiv callback {account}"


def _until_done(
    client: Client,
    stream: Stream[SignInStarted | SignedIn],
    started: SignInStarted,
    keyboard: Keyboard,
    child: subprocess.Popen[bytes] | None,
) -> SignedIn:
    until = time.monotonic() + started.expires_in + _LATE
    refused = ""
    while time.monotonic() < until:
        watched: list[Stream[SignInStarted | SignedIn] | Keyboard] = [stream]
        if keyboard.open:
            watched.append(keyboard)
        left = max(0.0, until - time.monotonic())
        ready, _, _ = select.select(watched, [], [], min(left, _TICK) if child else left)
        if child and child.poll() is not None:
            if child.returncode:
                show.note("no browser could be opened here; open the address yourself")
            child = None
        if stream in ready:
            try:
                reply = next(stream, None)
            except AixtivError as failure:
                if failure.sentence == refused:  # said already, when it was pasted
                    show.hint(failure.hint)
                    raise SystemExit(failure.exit_status) from None
                raise
            if isinstance(reply, SignedIn):
                return reply
        elif keyboard in ready and (pasted := keyboard.line()):
            refused = _hand_in(client, pasted, started.account)
    raise SignInFailed("the sign-in was not finished in time", hint=f"aixtiv login {started.account}")


def _hand_in(client: Client, pasted: str, account: str) -> str:
    """Gives the daemon what was pasted; why it did not take that. The stream says whether the sign-in is over by it."""
    show.note("checking what you pasted")
    try:
        client.callback(pasted, account)
    except AixtivError as failure:
        show.refusal(failure)
        return failure.sentence
    return ""
