"""A transcript: what was typed and what came, in a text file, and how it is played again.

    # a comment
    @ daemon                 prepares the machine (see `Play.DIRECTIVES`)
    $ aixtiv token work      what is typed; VARIABLE=value may stand before it, $ISSUER, $ADDRESS and browsers in it
    < a line of stdin
    > a line of stdout
    ! a line of stderr
    = 0                      the exit status

What differs each time stands as a word in capitals: TIME, SPAN, PORT, TOKEN, PID, VERSION, HOME. After a change
that was meant, `AIXTIV_UPDATE=1 pytest tests/transcripts` writes what came; read the difference before committing it.
"""

import contextlib
import re
import select
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from aixtiv_protocol import VERSION, replies, requests
from peers import person
from peers.authority.process import Running, authorization_server
from peers.claude_api.process import RunningClaude, claude_process
from peers.claude_api.weather import failure
from peers.machine import PATIENCE, Machine
from peers.managers import Managers
from peers.scripted import ScriptedDaemon

SCRIPTS: Final = Path(sysconfig.get_path("scripts"))
TESTS: Final = Path(__file__).parents[1]

# Browsers with a person before them, for $BROWSER: what they do with the address.
_BROWSERS: Final = {
    "$ADA": "visit(sys.argv[1])",
    "$BOB": "visit(sys.argv[1], 'bob')",
    "$REFUSING": "visit(sys.argv[1], refuse=True)",
}
_UNITS: Final = "(?:second|minute|hour|day)s?"


class Step(Struct, frozen=True):
    """A line of the transcript that does something, and the lines of stdin that follow it."""

    line: str
    stdin: tuple[str, ...] = ()


def steps(text: str) -> Iterator[Step]:
    """Everything but what came: that is what playing is for. Comments and empty lines are steps that do nothing."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line[:1] in {"#", "@", "$", ""}:
            given = []
            for after in lines[number + 1 :]:
                if not after.startswith("<"):
                    break
                given.append(after[2:])
            yield Step(line, tuple(given))


class Play:
    """One transcript on one throw-away machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._ends = contextlib.ExitStack()
        self._server: Running | None = None
        self._background: subprocess.Popen[str] | None = None
        self._claude: RunningClaude | None = None
        self._address = ""  # where the browser ended up that could not reach the callback
        self._url = ""  # the last authorization URL that a command printed
        self._browsers = {name: self._browser(name) for name in _BROWSERS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def played(self, text: str) -> str:
        """The transcript as it came this time."""
        return "".join(self._step(step) for step in steps(text))

    def _step(self, step: Step) -> str:
        given = "".join(f"< {line}\n" for line in step.stdin)
        if step.line.startswith("@"):
            return f"{step.line}\n{given}{self._directed(step)}"
        if step.line.startswith("$"):
            return f"{step.line}\n{given}{self._typed(step)}"
        return f"{step.line}\n"

    # ---- what is typed

    @property
    def server(self) -> Running:
        if self._server is None:
            self._server = self._ends.enter_context(authorization_server())
        return self._server

    def _typed(self, step: Step) -> str:
        process = self._spawned(self._filled(step.line[2:]))
        stdin = "".join(f"{self._filled(line)}\n" for line in step.stdin)
        out, err = process.communicate(stdin, PATIENCE)
        if found := re.search(r"https?://\S+[?&]state=[^\s\"]+", out):
            self._url = found[0]
        return self._shown(out, err, process.returncode)

    def _spawned(self, line: str) -> "subprocess.Popen[str]":
        words = shlex.split(line)
        environ = dict(self._machine.environ)
        while (found := re.fullmatch(r"([A-Z_]+)=(.*)", words[0], re.DOTALL)) is not None:
            environ[found[1]] = found[2]
            words = words[1:]
        return subprocess.Popen(
            [SCRIPTS / words[0], *words[1:]],
            env=environ,
            cwd=self._machine.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _filled(self, text: str) -> str:
        if "$ISSUER" in text:
            text = text.replace("$ISSUER", self.server.issuer)
        for name, path in self._browsers.items():
            text = text.replace(name, path)
        return text.replace("$ADDRESS", self._address)

    def _browser(self, name: str) -> str:
        script = f"import sys; from peers.person import visit; {_BROWSERS[name]}"
        path = self._machine.home.parent / name[1:]
        path.write_text(f"#!/bin/sh\nPYTHONPATH={TESTS} exec {sys.executable} -c {shlex.quote(script)} $1\n")
        path.chmod(0o700)
        return str(path)

    def _shown(self, out: str, err: str, code: int) -> str:
        lines = [f"> {line}" for line in self._normal(out).splitlines()]
        lines += [f"! {line}" for line in self._normal(err).splitlines()]
        return "".join(f"{line}".rstrip() + "\n" for line in (*lines, f"= {code}"))

    def _normal(self, text: str) -> str:
        """What differs each time, as a word."""
        if self._server:
            text = text.replace(self._server.issuer, "ISSUER").replace(self._server.issuer.split("//")[1], "ISSUER")
            for secret in self._server.issued:
                text = text.replace(secret, "TOKEN")
        if self._claude:
            text = text.replace(self._claude.url, "CLAUDE")
        text = text.replace(str(self._machine.home.parent), "HOME").replace(VERSION, "VERSION")
        text = text.replace(str(SCRIPTS), "SCRIPTS")
        for pattern, word in _DIFFERS:
            text = re.sub(pattern, word, text)
        return text

    # ---- what prepares

    def _directed(self, step: Step) -> str:
        name, _, rest = step.line[2:].partition(": ")
        return self.DIRECTIVES[name](self, rest, step.stdin) or ""

    def _daemon(self, _: str, __: tuple[str, ...]) -> None:
        self._machine.start()
        self._ends.callback(self._end)

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._machine.daemon and self._machine.daemon.poll() is None:
                self._machine.kill()

    def _killed(self, _: str, __: tuple[str, ...]) -> None:
        self._machine.kill()

    def _config(self, _: str, lines: tuple[str, ...]) -> None:
        self._machine.configure("\n".join(lines) + "\n")

    def _file(self, name: str, lines: tuple[str, ...]) -> None:
        """In the person's home."""
        path = self._machine.home / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        path.chmod(0o600)

    def _systemd(self, _: str, __: tuple[str, ...]) -> None:
        """A service manager to ask, which starts the real daemon."""
        managers = Managers(self._machine)
        self._ends.callback(managers.end)

    def _container(self, _: str, __: tuple[str, ...]) -> None:
        Managers(self._machine).without_systemd()

    def _signed_in(self, name: str, _: tuple[str, ...]) -> None:
        self._machine.sign_in(person.sign_in, self.server.login(name))

    def _claude_api(self, _: str, __: tuple[str, ...]) -> None:
        """Before the daemon: its config says where Claude is."""
        self._claude = self._ends.enter_context(claude_process("--accept-prefix", "at-"))
        self._machine.configure(f'[api.anthropic]\norigin = "{self._claude.url}"\n')

    def _claude_says(self, _: str, lines: tuple[str, ...]) -> None:
        assert self._claude, "there is no Claude"
        self._claude.reply("\n".join(lines))

    def _claude_fails(self, what: str, _: tuple[str, ...]) -> None:
        """Once: a status, a type and a message."""
        assert self._claude, "there is no Claude"
        status, kind, message = what.split(" ", 2)
        self._claude.set_weather(failure(int(status), kind, message))

    def _visit(self, _: str, __: tuple[str, ...]) -> None:
        """The person opens the last URL in a browser that cannot reach the callback."""
        redirect = dict(parse_qsl(urlsplit(self._url).query))["redirect_uri"]
        self._address = person.redirected(self._url, redirect)

    def _over(self, _: str, __: tuple[str, ...]) -> None:
        self.server.tell(end=True)

    def _in_background(self, line: str, _: tuple[str, ...]) -> None:
        self._background = self._spawned(self._filled(line))

    def _interrupt(self, _: str, __: tuple[str, ...]) -> str:
        """Ctrl-C, as soon as the command in the background has said its first line on stdout."""
        assert self._background, "nothing is in the background"
        assert self._background.stdout
        while not select.select([self._background.stdout], [], [], 2)[0]:
            self._machine.ask(
                requests.Refresh()
            )  # nothing announces that it watches: the first may have been too early
        first = self._background.stdout.readline()
        self._background.send_signal(SIGINT)
        _, err = self._background.communicate(timeout=PATIENCE)
        return self._shown(first, err, self._background.returncode)

    def _scripted(self, version: str, _: tuple[str, ...]) -> None:
        """A daemon of another version, which knows nothing but `hello`."""
        welcome = replies.Welcome(version=version, protocol=1, ops=("hello",))
        refusal = replies.Failure(code="bad_request", message=f"aixtivd {version} does not know that request")
        script = ScriptedDaemon(
            self._machine.runtime,
            lambda asked: (welcome if asked.__struct_config__.tag == "hello" else refusal,),
            version,
        )
        self._ends.enter_context(script)

    DIRECTIVES: Final[dict[str, "Callable[[Play, str, tuple[str, ...]], str | None]"]] = {
        "daemon": _daemon,
        "killed": _killed,
        "config": _config,
        "file": _file,
        "systemd": _systemd,
        "container": _container,
        "signed in": _signed_in,
        "claude": _claude_api,
        "claude says": _claude_says,
        "claude fails": _claude_fails,
        "visit": _visit,
        "grants are over": _over,
        "background": _in_background,
        "Ctrl-C": _interrupt,
        "older daemon": _scripted,
    }


_DIFFERS: Final = (
    (r"(?:this is a container|there is no display here|this is Linux inside Windows) \([^)]*\)", "PLACE"),
    (r"req_[0-9a-f]{24}", "REQUEST"),
    (r"aixtiv-ticket-[\w-]{43}", "TICKET"),
    (r"(?:https?://|ISSUER)\S+[?&]state=[^\s\"]+", "URL"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?|\b\d\d:\d\d(?::\d\d)?\b", "TIME"),
    (rf"\b\d+ {_UNITS}(?: \d+ {_UNITS})?", "SPAN"),
    (r"\b1[789]\d{8}(?:\.\d+)?\b", "0"),
    (r"(127\.0\.0\.1|localhost|\"port\"):\d{2,5}", r"\1:PORT"),
    (r"\bport = \d+", "port = PORT"),
    (r"\b\d+ ms\b", "SPAN"),
    (r"ssh -L \d+", "ssh -L PORT"),
    (r"(127\.0\.0\.1:PORT) .*$", r"\1 HOST"),
    (r"kill -HUP \d+", "kill -HUP PID"),
    (r"pid \d+(?:, [^\s)]+\.service)?", "pid PID"),
    (r"\b[0-9a-f]{8}\b", "TICKETID"),
    (r"/[^\s\"]*/python[\d.]*(?: -m| -c)?(?: [^\s\"]*pytest)?", "PROGRAM"),  # who types here
    (r"PROGRAM in \S+\.(?:service|scope)", "PROGRAM"),
    (r"(?m)^(pid|executable|script) {2,}\S.*$", r"\1  KNOWN"),  # of `access explain`
    (r"(?m)^(?:cgroup|unit) {2,}\S.*\n", ""),
    (r"--pid [1-9]\d*", "--pid PID"),
    (r'"holder":[1-9]\d*', '"holder":PID'),
    (r'"pid":\d+', '"pid":0'),
    (r'"unit":"[^"]*"', '"unit":"UNIT"'),
    (r'"skews":\{[^}]*\}', '"skews":{}'),
    (r'"id_token_age":\d+', '"id_token_age":0'),
)
