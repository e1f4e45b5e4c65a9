"""Waiting for a sign-in in front of a person: the browser, a code typed elsewhere or a paste, whichever first."""

import os
import select
import subprocess
import sys
import termios
import time
from typing import Final, Self

import msgspec

from aixtiv import browser, show, ways
from aixtiv.client import Client
from aixtiv.failures import AixtivError, SignInFailed
from aixtiv.stream import Stream
from aixtiv.surroundings import Surroundings
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
            # What was typed and not read goes with it: a shell would run the pieces of an address behind each `&`.
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._before)

    def fileno(self) -> int:
        return self._fd

    def line(self) -> str | None:
        """The line that what is there completes; None if it completes none."""
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
            return None
        self._typed[:] = rest
        return head.decode(errors="replace").strip()


class Page:
    """The sign-in's page in the person's browser, once it has been opened."""

    def __init__(self, url: str, place: Surroundings) -> None:
        self._url = url
        self._place = place
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def opening(self) -> bool:
        return self._child is not None

    def open(self) -> None:
        self._child = browser.open_page(self._url, self._place.opener)

    def entered(self) -> None:
        """An empty line was typed: it opens Windows' browser, where that was offered."""
        if self._place.opener and not self.opening:
            show.note("opening the browser of Windows")
            self.open()

    def look(self) -> None:
        """Says that no browser was found."""
        if self._child is None or self._child.poll() is None:
            return
        if self._child.returncode and not self._place.opener:  # explorer.exe ends with 1 whatever it did
            show.note("no browser could be opened here; open the address yourself")
        self._child = None


def wait(
    client: Client,
    stream: Stream[SignInStarted | SignedIn],
    started: SignInStarted,
    place: Surroundings,
    *,
    open_browser: bool,
    with_code: bool,
) -> SignedIn:
    """Who signed in. Raises AixtivError; a KeyboardInterrupt leaves the sign-in open in the daemon."""
    page = Page(started.url, place)
    if open_browser:
        page.open()
    with Keyboard(sys.stdin.fileno()) as keyboard:
        if place.opener and not keyboard.open:  # nobody can press Enter
            place = msgspec.structs.replace(place, opener="")
        ways.announce(started, place, opening=open_browser, with_code=with_code, can_paste=keyboard.open)
        return _until_done(client, stream, started, keyboard, page)


def _until_done(
    client: Client,
    stream: Stream[SignInStarted | SignedIn],
    started: SignInStarted,
    keyboard: Keyboard,
    page: Page,
) -> SignedIn:
    until = time.monotonic() + started.expires_in + _LATE
    refused = ""
    while time.monotonic() < until:
        watched: list[Stream[SignInStarted | SignedIn] | Keyboard] = [stream]
        if keyboard.open:
            watched.append(keyboard)
        left = max(0.0, until - time.monotonic())
        ready, _, _ = select.select(watched, [], [], min(left, _TICK) if page.opening else left)
        page.look()
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
        elif keyboard in ready and (pasted := keyboard.line()) is not None:
            if pasted:
                refused = _hand_in(client, pasted, started.account)
            else:
                page.entered()
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
