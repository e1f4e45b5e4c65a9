"""What the documents tell a person to type, and a machine on which it can be typed, page by page."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from peers import person
from peers.authority.process import Running, authorization_server
from peers.claude_api.process import claude_process
from peers.machine import PATIENCE, Machine, Ran
from peers.managers import Managers

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
KEY: Final = "sk-ant-api03-of-the-docs-0123456789"

_SCRIPTS: Final = ("bash", "sh")
FENCES: Final = frozenset({"console", *_SCRIPTS, "", "ini", "json", "python", "toml", "yaml"})
"""Of a kind that is not among these, nobody would notice that it is not typed."""

_FENCE: Final = re.compile(r"^ *(?:\d+\. )?```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

# What a hook is told.
_EVENT: Final = '{"event":"sign-in-needed","account":"work","detail":"the provider has ended this sign-in"}'

# A browser with a person before it, who agrees to everything.
_BROWSER: Final = "import sys; from peers.person import visit; visit(sys.argv[1])"

# Programs of other people: they succeed where they have what they need to call Claude through aixtiv.
_TOOL: Final = 'test -n "$ANTHROPIC_BASE_URL$ANTHROPIC_PROFILE" && test -z "$ANTHROPIC_API_KEY"'
_TOOLS: Final = {
    "claude": _TOOL,
    "python": _TOOL,
    "node": _TOOL,
    "gh": 'test -n "$GH_TOKEN"',
    "ant": "echo at-of-ant",
    "mail": "grep -qx 'work sign-in-needed the provider has ended this sign-in'",
}


class Typed(Struct, frozen=True):
    """A command line of a page, or a whole script."""

    page: str
    text: str


def blocks(page: str, *kinds: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each fenced block of those kinds."""
    for kind, text in _FENCE.findall((ROOT / page).read_text(encoding="utf-8")):
        if kind in kinds:
            yield kind, dedent(text).rstrip()


def typed(page: str) -> Iterator[Typed]:
    """What stands behind `$ `, without the remark behind it, and each block of a shell's script."""
    for kind, text in blocks(page, "console", *_SCRIPTS):
        if kind in _SCRIPTS:
            yield Typed(page, text)
            continue
        whole = text.replace("\\\n", " ")
        for line in whole.splitlines():
            if line.startswith("$ "):
                yield Typed(page, re.sub(r" {2,}# .*$", "", line[2:]).strip())


class Opposite(Struct, frozen=True):
    """The servers of the documents, played by ours."""

    server: Running
    exchange: Running  # gives Claude's tokens for identity tokens of `server`
    claude: str


@contextmanager
def opposite() -> Iterator[Opposite]:
    with (
        authorization_server("--device", "--device-interval", "0.2") as server,
        authorization_server("--claude", "--trusts", server.issuer) as exchange,
        claude_process("--accept-prefix", "at-", "--accept-prefix", "sk-ant-") as claude,
    ):
        yield Opposite(server, exchange, claude.url)


class Desk:
    """A machine with somebody at it."""

    def __init__(self, machine: Machine, servers: Opposite) -> None:
        self.machine = machine
        self.server = servers.server
        self.managers = Managers(machine)  # a systemd that does what the real one would
        self._url = ""  # of the sign-in that was begun last
        machine.configure(
            '[vault]\nkey = "file"\n'
            f'[api.anthropic]\norigin = "{servers.claude}"\n'
            f'[provider.anthropic]\ntoken-endpoint = "{servers.exchange.issuer}/token"\n'
            f'[provider.github]\nissuer = "{servers.server.issuer}"\n'
            'client-auth = "post"\nscopes = ["openid", "email"]\n'
        )
        tools = machine.home.parent / "bin"
        tools.mkdir()
        for name, script in _TOOLS.items():
            _program(tools / name, script)
        _program(tools / "browser", f"PYTHONPATH={TESTS} exec {sys.executable} -c {shlex.quote(_BROWSER)} $1")
        self.environ = machine.environ | {
            "PATH": f"{tools}:{machine.environ['PATH']}",
            "BROWSER": f"{tools / 'browser'} %s",
            "SHELL": "/bin/bash",
            "AIXTIV_NO_START": "",  # a person's commands start the daemon
        }

    def types(self, line: Typed) -> Ran:
        """To its end. Where a code is shown to be typed on another device, that is done."""
        with self._spawned(line.text) as process:
            shown = self._type_code(process) if "--device" in line.text else ""
            try:
                out, err = process.communicate(self._answers(line.text), PATIENCE)
            finally:
                process.kill()
        if found := re.search(r"https?://\S+[?&]state=\S+", out):
            self._url = found[0]
        return Ran(out, shown + err, process.returncode)

    def typed_well(self, text: str) -> Ran:
        """What must succeed, for what comes after it."""
        ran = self.types(Typed("", text))
        assert ran.code == 0, f"{text}\n{ran.err}"
        return ran

    def _spawned(self, text: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        script = ["bash", "-c", self.played(text)]
        home = self.machine.home
        return subprocess.Popen(script, env=self.environ, cwd=home, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    @staticmethod
    def _type_code(process: "subprocess.Popen[str]") -> str:
        shown = ""
        assert process.stderr
        for said in process.stderr:
            shown += said
            if code := re.fullmatch(r"[A-Z0-9]+-[A-Z0-9]+\n", said):
                address = re.findall(r"^http\S+$", shown, re.MULTILINE)[-1]
                person.type_code(address, code[0].strip())
                break
        return shown

    def played(self, text: str) -> str:
        """With our servers in the place of those that the documents name, and a process that there is."""
        text = text.replace("https://id.example.org", self.server.issuer).replace("--pid 4711", "--pid $$")
        text = text.replace("/var/lib/node_exporter/textfile", "~")
        return text.replace("--client-id ID", f"--client-id {'post' if '--client-secret' in text else 'native'}")

    def _answers(self, text: str) -> str:
        """What a person types when they are asked."""
        if "--client-secret" in text:
            return f"{self.server.secret}\n"
        if "aixtiv callback" in text:
            redirect = dict(parse_qsl(urlsplit(self._url).query))["redirect_uri"]
            return person.redirected(self._url, redirect) + "\n"
        if re.search("aixtiv (export|restore)", text):
            return "a passphrase of several words\n"
        if "json.load(sys.stdin)" in text:
            return f"{_EVENT}\n"
        return f"{KEY}\n" if "api-key set" in text else ""

    def leave(self) -> None:
        """Ends the daemon that a command, or the service manager, has started."""
        self.types(Typed("", "aixtiv stop"))
        self.managers.end()


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)


@contextmanager
def desk(servers: Opposite, folder: Path) -> Iterator[Desk]:
    with Machine(folder) as machine:
        at = Desk(machine, servers)
        try:
            yield at
        finally:
            at.leave()
