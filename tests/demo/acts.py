"""The demo's acts, in order. Each claims something, does it with real processes, and says whether it held."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from aixtiv_protocol import requests
from demo.calls import KEY, Calls
from demo.stage import LIFE, Server
from demo.story import Story
from peers.leaks import files_under, leaks
from peers.machine import Machine
from peers.person import visit

ACCOUNT: Final = "work"
PYTHON: Final = (
    "import aixtiv",
    f'token = aixtiv.Client().token("{ACCOUNT}")',
    "print(token.access_token.reveal())",
)


def mark(token: str) -> str:
    """A token as the demo shows it: enough to tell two apart, too little to use."""
    return f"{token[:4]}… ({hashlib.sha256(token.encode()).hexdigest()[:6]})"


class Demo:
    """What the acts hand on to each other."""

    def __init__(self, story: Story, machine: Machine, server: Server, calls: Calls) -> None:
        self.story = story
        self.machine = machine
        self.server = server
        self.calls = calls
        self.tokens: list[str] = []  # every access token seen, in order

    def play(self) -> None:
        scenes: tuple[tuple[str, Callable[[], None]], ...] = (
            ("a person signs in once", self.sign_in),
            ("every tool gets the token", self.hand_out),
            ("tokens are refreshed in the background", self.time_passes),
            ("kill -9 loses nothing", self.crash),
            *self.calls.scenes(),
            ("nothing in store or log can be read", self.look_at_the_disk),
            ("logout revokes", self.log_out),
        )
        for claim, scene in scenes:
            self.story.tries(claim, scene)

    # ---- 1

    def sign_in(self) -> None:
        story, machine, server = self.story, self.machine, self.server
        story.act("Ada signs in, once", "She types one command. It opens her browser at the provider's own page.")
        words = ("login", ACCOUNT, *server.options())
        story.typed("aixtiv", *words)
        with machine.running(*words, BROWSER=machine.browser()) as login:
            url = machine.opened()
            story.printed(url.partition("?")[0] + "?…")
            story.say(
                "A name and a password on the first page, consent on the second; then the browser comes back to us."
            )
            page = visit(url, "ada")
            out, err = login.communicate(timeout=30)
        story.printed(out if login.returncode == 0 else err)
        held = login.returncode == 0 and page.status == 200 and "Signed in" in page.text
        story.shows("a person signs in once", "code flow with PKCE, through the provider's own HTML forms", held=held)

    # ---- 2

    def hand_out(self) -> None:
        self.story.act("Every tool gets the token", "None of them knows a password, a client id or a refresh token.")
        ways = (self._by_command, self._by_netcat, self._by_library)
        tokens = []
        for way in ways:
            tokens.append(way())
            self.story.printed(mark(tokens[-1]))
        self.tokens.append(tokens[-1])
        self.story.shows(
            "the command, netcat and Python get the same token",
            f"{mark(tokens[0])}, three ways",
            held=len(set(tokens)) == 1 and self.server.active(tokens[0]),
        )

    def _by_command(self) -> str:
        self.story.typed("aixtiv", "token", ACCOUNT)
        ran = self.machine.run("token", ACCOUNT)
        assert ran.code == 0, ran.err
        return ran.out.strip()

    def _by_netcat(self) -> str:
        line = f'{{"op":"token","account":"{ACCOUNT}","form":"bare"}}'
        netcat, spoken = speaker(str(self.machine.socket))
        self.story.code(f"$ echo '{line}' | {spoken}")
        with subprocess.Popen(netcat, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(line + "\n")
            process.stdin.flush()  # left open: some netcats hang up when their stdin ends, some wait for ever
            answer = process.stdout.readline().strip()
            process.kill()
        return answer

    def _by_library(self) -> str:
        self.story.code(*(f">>> {line}" for line in PYTHON))
        command = [sys.executable, "-c", "\n".join(PYTHON)]
        ran = subprocess.run(command, env=self.machine.environ, capture_output=True, text=True, check=False, timeout=30)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    # ---- 3

    def time_passes(self) -> None:
        story, machine, server = self.story, self.machine, self.server
        story.act(
            "Time passes, and nobody does anything",
            f"A token of this server lives {LIFE} seconds, and a refresh token works once.",
        )
        with machine.conversation() as watch:
            watch.say(requests.Watch())
            for _ in range(3):
                watch.hear_until("refreshed", ACCOUNT)
                token = machine.token(ACCOUNT)
                self.tokens.append(token.access_token.reveal())
                story.say(
                    f"[dim]{story.seconds:5.1f} s[/]  refreshed by itself: generation {token.generation},"
                    f" token {mark(self.tokens[-1])}, {LIFE} seconds to live"
                )
        fresh = len(set(self.tokens)) == len(self.tokens) and server.active(self.tokens[-1])
        story.typed("aixtiv", "accounts")
        story.printed(machine.run("accounts").out)
        story.shows(
            "tokens are refreshed in the background",
            f"{server.refreshes} refreshes counted by the server, each before the token expired",
            held=fresh and server.refreshes >= 2,
        )

    # ---- 4

    def crash(self) -> None:
        story, machine, server = self.story, self.machine, self.server
        story.act("The daemon is killed", "No warning, no time to save anything.")
        before = machine.account(ACCOUNT).generation
        story.typed("kill", "-9", str(machine.pid))
        machine.kill()
        story.typed("aixtivd")
        machine.start()
        token = self._by_command()
        story.printed(mark(token))
        story.say("The refresh token is there, too: the next refresh comes by itself.")
        with machine.conversation() as watch:
            watch.say(requests.Watch())
            watch.hear_until("refreshed", ACCOUNT)
        after = machine.account(ACCOUNT).generation
        self.tokens += [token, machine.token(ACCOUNT).access_token.reveal()]
        story.shows(
            "kill -9 loses nothing",
            f"the same account, refreshed again afterwards: generation {before} → {after}",
            held=after > before and server.active(self.tokens[-1]),
        )
        story.shows(
            "no refresh token is ever spent twice",
            "the server would have ended the grant for that; it never saw it",
            held=server.reuses == 0,
        )

    # ---- after Claude's acts (calls.py)

    def look_at_the_disk(self) -> None:
        story, machine, server = self.story, self.machine, self.server
        story.act(
            "What lies on the disk",
            "The store is sealed. Its key lies beside it (mode 0600), for want of a desktop key store.",
            "The audit log names accounts and callers, for Ada to read; no secret has a place in it.",
        )
        files = files_under(machine.state) | {"the log": machine.log.encode()}
        for name in sorted(name for name in files if name.startswith("/")):
            story.printed(f"{name.removeprefix(str(machine.home))}  {len(files[name]):,} bytes")
        logs = {name: content for name, content in files.items() if name == "the log" or "audit" in name}
        names = [ACCOUNT.encode(), b"ada@example.test", server.issuer.encode()]
        stored = {name: content for name, content in files.items() if name not in logs}
        secrets = server.issued | self.calls.claude.issued | {KEY}
        readable = leaks(secrets, files) + [n for n, c in stored.items() if any(name in c for name in names)]
        story.shows(
            "nothing in store or log can be read",
            f"searched for {len(secrets)} real tokens, codes and keys, the account, the person, the provider",
            held=not readable and len(secrets) > 4,
        )

    # ---- the last

    def log_out(self) -> None:
        story, machine, server = self.story, self.machine, self.server
        story.act("Ada leaves", "Logout revokes the grant at the provider, then forgets it here.")
        token = machine.token(ACCOUNT).access_token.reveal()
        assert server.active(token), "the token was dead before the logout"
        story.typed("aixtiv", "logout", ACCOUNT)
        gone = machine.run("logout", ACCOUNT)
        story.printed(gone.out or gone.err)
        story.typed("aixtiv", "token", ACCOUNT)
        refused = machine.run("token", ACCOUNT)
        story.printed(refused.err)
        held = gone.code == 0 and not server.active(token) and refused.code != 0
        story.shows("logout revokes", f"the server no longer takes {mark(token)}", held=held)


def speaker(path: str) -> tuple[list[str], str]:
    """What speaks to a Unix socket here, and how a person would type it: nc -U, else socat, else Python."""
    netcat = shutil.which("nc")
    if netcat and "-U" in subprocess.run([netcat, "-h"], capture_output=True, text=True, check=False).stderr:
        return [netcat, "-U", path], f"nc -U {path}"
    if socat := shutil.which("socat"):
        return [socat, "-", f"UNIX-CONNECT:{path}"], f"socat - UNIX-CONNECT:{path}"
    script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"
    script += "; s.sendall(input().encode() + b'\\n'); print(s.recv(65536).decode())"
    return [sys.executable, "-c", script, path], f"python3 -c '{script}' {path}  # no nc -U, no socat here"
