"""What the pictures of the documents show: real commands typed at real terminals, and pages in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from docs.pages import KEY, Desk, Typed
from peers import person
from peers.authority.weather import says
from peers.browser import chromium
from peers.machine import SCRIPTS
from peers.terminal import Terminal

_LOGIN: Final = "aixtiv login {} --issuer https://id.example.org --client-id ID"
_GITHUB: Final = "aixtiv login github --client-id ID --client-secret"
_LINES: Final = 60  # of the terminals, so that nothing scrolls away
_USUAL: Final = 24  # of those at which somebody signs in by a code: it has to fit

Scene = Callable[[Desk], str]


def typed(at: Desk, *lines: str, code: bool = False) -> str:
    """What a terminal shows while these lines are typed one after the other, with the prompt before each."""
    return "\r\n".join(f"\x1b[1m$ {line}\x1b[0m\r\n{_shown(at, line, code=code)}" for line in lines)


def _shown(at: Desk, line: str, *, code: bool) -> str:
    lines = _USUAL if " --device" in line else _LINES
    environ = at.environ | {"COLUMNS": "80", "LINES": str(lines)}
    if code or " --device" in line:
        del environ["BROWSER"]
    with Terminal(["/bin/bash", "-c", at.played(line)], environ, at.machine.home, lines=lines) as terminal:
        shown = ""
        if " --device" in line:
            shown = terminal.until("waiting for")
            found = re.search(r"^[A-Z0-9]{4}-[A-Z0-9]{4}\s*$", shown, re.MULTILINE)
            assert found, shown
            person.type_code(re.findall(r"^http\S+", shown, re.MULTILINE)[-1], found[0].strip())
        terminal.ended()
        return _known(at, shown + terminal.shown)


def _known(at: Desk, shown: str) -> str:
    """The names of this very machine, as the documents' person would read them."""
    server = at.server.issuer
    for ours, theirs in (
        (server, "https://id.example.org"),
        (server.partition("//")[2], "id.example.org"),
        (str(at.machine.runtime), "/run/user/1000"),
        (str(at.machine.home), "/home/ada"),
        (str(at.machine.home.parent / "bin/browser"), "/usr/bin/firefox"),
        (str(SCRIPTS), "/home/ada/.local/bin"),
    ):
        shown = shown.replace(ours, theirs)
    return shown


def _accounts(at: Desk) -> None:
    """Some that are well, one that is not."""
    for line, life in ((_GITHUB, 28800), (_LOGIN.format("work"), 3600), (_LOGIN.format("work/second"), 7200)):
        at.server.tell(access_ttl=life)
        at.typed_well(line)
    at.server.set_weather(says("invalid_grant", description="Token has been revoked"))
    at.types(Typed("", "aixtiv refresh work/second"))
    at.typed_well("aixtiv api-key set anthropic")


def status(at: Desk) -> str:
    _accounts(at)
    return typed(at, "aixtiv status")


def accounts(at: Desk) -> str:
    _accounts(at)
    (at.machine.home / ".aixtiv.toml").write_text('account = "work"\n')
    return typed(at, "aixtiv accounts")


def failure(at: Desk) -> str:
    at.typed_well(_LOGIN.format("work"))
    at.server.set_weather(says("invalid_grant", description="Token has been revoked"))
    return typed(at, "aixtiv refresh work", "aixtiv token githup", "aixtiv token --min-tll 60")


def doctor(at: Desk) -> str:
    at.typed_well("aixtiv api-key set anthropic")
    at.environ["ANTHROPIC_API_KEY"] = at.environ["ANTHROPIC_AUTH_TOKEN"] = KEY
    return typed(at, "aixtiv doctor")


def login_device(at: Desk) -> str:
    at.environ["SSH_CONNECTION"] = "192.0.2.7 52514 198.51.100.4 22"
    return typed(at, f"{_LOGIN.format('work')} --device")


def fresh(at: Desk) -> str:
    """The README's five commands, but for the first."""
    at.environ["SSH_CONNECTION"] = "192.0.2.7 52514 198.51.100.4 22"
    login = f"{_LOGIN.format('work')} --device"
    return typed(at, "aixtiv service install --headless", login, "aixtiv service restart", "aixtiv token work")


TERMINALS: Final[dict[str, Scene]] = {
    "status": status,
    "accounts": accounts,
    "failure": failure,
    "doctor": doctor,
    "login-device": login_device,
    "fresh": fresh,
}


def signed_in(at: Desk, path: Path) -> None:
    _page(at, path, "ada")


def not_signed_in(at: Desk, path: Path) -> None:
    """Somebody else than before."""
    at.typed_well(_LOGIN.format("work"))
    _page(at, path, "mallory")


def _page(at: Desk, path: Path, who: str) -> None:
    at.typed_well("aixtiv status")  # starts the daemon
    with chromium() as browser, at.machine.conversation() as talk:
        talk.say(at.server.login("work"))
        browser.open(talk.hear().url)  # type: ignore[union-attr]  # what a sign-in begins with has one
        browser.type("login", who)
        browser.type("password", "any will do")
        browser.submit()
        browser.submit()  # the consent
        browser.screenshot(path)


PAGES: Final[dict[str, Callable[[Desk, Path], None]]] = {"signed-in": signed_in, "not-signed-in": not_signed_in}
