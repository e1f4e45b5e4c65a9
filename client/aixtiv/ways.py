"""What a person is told at the beginning of a sign-in: where they are, the way that fits, and what is waited for."""

import os
import shutil
from typing import Final

from aixtiv import browser, qr, show
from aixtiv.surroundings import Surroundings
from aixtiv.words import span
from aixtiv_protocol.replies import SignInStarted

_BESIDE: Final = 8  # lines that are on the screen with a square: where we are, six below it, the cursor's


def announce(started: SignInStarted, place: Surroundings, *, opening: bool, with_code: bool, can_paste: bool) -> None:
    """`opening`: a browser is being opened. `with_code`: a code was asked for, to be typed on another machine."""
    joined(started)
    if with_code and started.verification_uri:
        _by_code(started, place)
        return
    if with_code and started.device_problem:
        show.note(f"there is no code to be typed on another machine: {started.device_problem}")
    _by_address(started, place, opening=opening)
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


def left_open(started: SignInStarted, *, with_code: bool) -> None:
    """What still finishes the sign-in that nobody waits for any more: what was shown for it."""
    stays = f"the sign-in stays open for {span(started.expires_in)}"
    if with_code and started.verification_uri:
        show.note(f"{stays}: entering {started.user_code} at {started.verification_uri} still finishes it")
        return
    show.note(stays)
    show.hint(finish(started.account))


def code_beside(started: SignInStarted) -> None:
    """Of a sign-in that nobody waits for: the daemon itself sees that the code has been typed."""
    if started.verification_uri:
        show.note(f"or go to {started.verification_uri} on any device, and enter the code {started.user_code}")
        show.note("once it has been entered, nothing more is to be typed here")
    elif started.device_problem:
        show.note(f"there is no code to be typed on another machine: {started.device_problem}")


def _by_code(started: SignInStarted, place: Surroundings) -> None:
    """On 80 columns and 24 lines all of it stays on the screen, or the square is left out (RFC 8628 §3.3.1)."""
    _where(place)
    square, has_code = _square(started, place)
    gap = "" if square else "\n"
    if square:
        show.picture(square)
    show.note(f"to sign in to {started.account}, open this on any device{', or scan the square' if square else ''}")
    show.plain(f"{gap}{started.verification_uri}{gap}")
    show.note("and check that your phone shows the same code, or enter it" if has_code else "and enter this code")
    show.plain(f"{gap}{started.user_code}{gap}")
    show.note(f"waiting for {span(started.expires_in)}; to open an address in a browser instead")
    show.hint(f"aixtiv login {started.account} --no-device")


def _square(started: SignInStarted, place: Surroundings) -> tuple[str, bool]:
    """The address with the code in it, or else without, as far as it fits; whether it has the code."""
    width = shutil.get_terminal_size().columns
    wrapped = len(f"aixtiv: {place.sentence}: no browser is opened") // (width + 1) + len(started.verification_uri) // (
        width + 1
    )
    for address in (started.verification_uri_complete, started.verification_uri):
        if address and (drawn := qr.drawn(address, beside=_BESIDE + wrapped)):
            return drawn, address == started.verification_uri_complete
    return "", False


def _by_address(started: SignInStarted, place: Surroundings, *, opening: bool) -> None:
    if opening:
        show.note(f"opening your browser to sign in to {started.account}; if it does not open, go to")
    else:
        _where(place)
        show.note(f"to sign in to {started.account}, open this address in a browser{_whose(place)}")
    show.plain(f"\n{started.url}\n")
    if opening:
        return
    if place.opener:
        show.note("press Enter to open it there")
    elif started.port and place.kind == "container":
        show.note(
            "a browser outside this container cannot reach that port of it: the sign-in's last page does not load, and"
            " its address is what to paste"
        )
    elif started.port and place.kind != "wsl":
        show.note("if that browser is on another machine, first run this on it")
        show.plain(f"\n{browser.tunnel(started.port, os.environ)}\n")


def _where(place: Surroundings) -> None:
    if place.sentence:
        show.note(f"{place.sentence}: no browser is opened")


def _whose(place: Surroundings) -> str:
    if place.kind != "wsl":
        return ""
    return f" of Windows ({os.path.basename(place.opener)})" if place.opener else " of Windows"  # noqa: PTH119  # text
