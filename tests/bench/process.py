"""`aixtiv token` as a process, from its start to its end, beside programs that do nothing or the same."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from subprocess import DEVNULL, PIPE, Popen
from typing import Final

from msgspec import Struct

from bench import goals
from bench.bench import Bench
from bench.measuring import BACK, duration, interleaved, on
from bench.table import LeftOut, Line, Row
from bench.world import ACCOUNT, World, token_request, world
from peers.authority.process import authorization_server

ROW: Final = Row("process")
_SECRET: Final = "gho_" + "x" * 36  # what gh and keyring hand out

# A launcher as it would have to be: pip and uv drop the flags of a `#!python -I -S` line, a shell keeps them.
_LAUNCHER: Final = """#!/bin/sh
exec "{python}" -I -S -c 'import sys; sys.path.append("{site}"); from aixtiv.entry import main; main()' "$@"
"""


class Command(Struct, frozen=True):
    name: str
    words: list[str]
    environ: dict[str, str]

    def taken(self) -> float:
        """Milliseconds."""
        return duration(self.words, self.environ) * 1000


def rows(bench: Bench) -> Iterator[Line | LeftOut]:
    with authorization_server("--claude") as server, world(bench.installed.scripts) as here:
        here.started().sign_in(server)
        token = here.machine.token(ACCOUNT).access_token.reveal()
        with on(BACK):  # who asks stands where the daemon stands: else it is the waking of a core that is measured
            yield from _beside_nothing(bench, here, token)
            yield from _beside_peers(bench, here)


def _nothing(bench: Bench, here: World) -> Command:
    words = [str(bench.installed.scripts / "nothing")]
    return Command("pip's console script that does nothing", words, here.machine.environ)


def _beside_nothing(bench: Bench, here: World, token: str) -> Iterator[Line | LeftOut]:
    environ = here.machine.environ
    python = bench.installed.python
    nothing = _nothing(bench, here)
    ours = [
        Command("aixtiv token NAME", [bench.installed.aixtiv, "token", ACCOUNT], environ),
        Command("aixtiv token", [bench.installed.aixtiv, "token"], environ),
        Command("a launcher that skips site", [_launcher(bench), "token", ACCOUNT], environ),
        Command("python -I -S -c pass", [python, "-I", "-S", "-c", "pass"], environ),
    ]
    if bench.floors.missing:
        yield ROW.without(f"the floor in C: {bench.floors.missing}")
    else:
        request = bench.floors.file("token.request", token_request())
        words = [bench.floors.program("once"), str(here.machine.socket), request]
        ours.append(Command("a C program that asks the daemon", words, environ))
    for each in (ours[0], ours[2]):
        said = subprocess.run(each.words, env=environ, capture_output=True, text=True, check=True)
        assert said.stdout == f"{token}\n", "it prints the token"
    floor, again, *seen = interleaved(bench.plan.starts, nothing.taken, nothing.taken, *(one.taken for one in ours))
    yield ROW.line(ours[0].name, seen[0], nothing.name, floor, "ms", goals.PROCESS)
    yield ROW.line("the floor against itself, which is the noise", again, nothing.name, floor, "ms")
    for one, series in zip(ours[1:], seen[1:], strict=True):
        yield ROW.line(one.name, series, nothing.name, floor, "ms")


def _launcher(bench: Bench) -> str:
    path = bench.folder / "launcher"
    path.write_text(_LAUNCHER.format(python=bench.installed.python, site=bench.installed.site))
    path.chmod(0o755)
    return str(path)


def _beside_peers(bench: Bench, here: World) -> Iterator[Line | LeftOut]:
    environ = here.machine.environ
    ours = Command("aixtiv token NAME", [bench.installed.aixtiv, "token", ACCOUNT], environ)
    nothing = _nothing(bench, here)
    for peer in (_gh, _keyring):
        with peer(bench, here) as found:
            if isinstance(found, LeftOut):
                yield found
                continue
            theirs, mine, floor = interleaved(bench.plan.slow, found.taken, ours.taken, nothing.taken)
            yield ROW.line(ours.name, mine, found.name, theirs, "ms", goals.PEER)
            yield ROW.line(f"{nothing.name}: what there is to reach", floor, found.name, theirs, "ms")


@contextmanager
def _gh(_: Bench, here: World) -> Iterator[Command | LeftOut]:
    gh = shutil.which("gh")
    if gh is None:
        yield ROW.without("gh is not installed")
        return
    config = here.machine.home / ".config/gh"
    config.mkdir(parents=True)
    (config / "hosts.yml").write_text(f"github.com:\n    user: ada\n    oauth_token: {_SECRET}\n")
    yield from _proved(Command("gh auth token", [gh, "auth", "token"], here.machine.environ))


@contextmanager
def _keyring(bench: Bench, here: World) -> Iterator[Command | LeftOut]:
    """The command is the one that came with our wheel."""
    if missing := [name for name in ("dbus-daemon", "gnome-keyring-daemon") if shutil.which(name) is None]:
        yield ROW.without(f"keyring get: {missing[0]} is not installed")
        return
    keyring = str(bench.installed.scripts / "keyring")
    with _desktop(here.machine.environ) as environ:
        words = [keyring, "set", "bench", "ada"]
        subprocess.run(words, env=environ, input=_SECRET.encode(), capture_output=True, check=False)
        yield from _proved(Command("keyring get", [keyring, "get", "bench", "ada"], environ))


@contextmanager
def _desktop(environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """A session bus of its own, with GNOME's key store on it, unlocked: the environment of who is logged in there."""
    with ExitStack() as stack:
        words = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"]
        bus = stack.enter_context(Popen(words, env=environ, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, text=True))
        stack.callback(bus.kill)
        assert bus.stdout
        environ = environ | {"DBUS_SESSION_BUS_ADDRESS": bus.stdout.readline().strip()}
        words = ["gnome-keyring-daemon", "--unlock", "--components=secrets", "--foreground"]
        store = stack.enter_context(Popen(words, env=environ, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL))
        stack.callback(store.kill)
        assert store.stdin
        store.stdin.write(b"pw")
        store.stdin.close()
        yield environ


def _proved(command: Command) -> Iterator[Command | LeftOut]:
    """Left out where it does not hand out what it was given."""
    ran = subprocess.run(command.words, env=command.environ, capture_output=True, text=True, check=False)
    if ran.stdout.strip() == _SECRET:
        yield command
    else:
        yield ROW.without(f"{command.name} does not work here: {(ran.stderr or ran.stdout).strip()[:200]}")
