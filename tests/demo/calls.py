"""The demo's acts at Claude: calls that carry a credential which no tool ever sees."""

import os
import select
import textwrap
import time
from collections.abc import Callable
from typing import Final

from demo.stage import Claude
from demo.story import Story
from peers.claude_api.process import sent
from peers.claude_api.weather import Weather
from peers.machine import PATIENCE, SCRIPTS, Machine
from peers.person import visit
from peers.sdks import NAMES, Sdk, sdk_or_why_not

ACCOUNT: Final = "anthropic"
FEDERATED: Final = "anthropic/ci"
KEY: Final = "sk-ant-api03-the-fallback-of-the-demo"
ANSWER: Final = (
    "A ticket is a thing of this machine: it lets one program call me through the daemon, for as long as that program"
    " lives, and is worth nothing anywhere else."
)
PACE: Final = 0.03  # seconds between two words


class Calls:
    """`identity`: the account whose ID tokens Claude's organisation trusts."""

    def __init__(self, story: Story, machine: Machine, claude: Claude, identity: str) -> None:
        self.story = story
        self.machine = machine
        self.claude = claude
        self.identity = identity

    def scenes(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        return (
            ("Claude answers, streamed, through OAuth", self.ask),
            ("a revoked token falls back to the key", self.fall_back),
            ("an account is fed by another account", self.federate),
            ("an official SDK, unmodified", self.hand_to_an_sdk),
        )

    # ---- a call through OAuth

    def ask(self) -> None:
        story = self.story
        story.act(
            "Claude, through OAuth",
            "Opposite stands a strict stand-in for Claude's API and its token endpoint, with Claude's own ways.",
            "Ada signs in there, and asks. The daemon adds the token; the command has none.",
        )
        self._sign_in()
        self.claude.api.reply(ANSWER)
        self.claude.api.set_weather(Weather(pace=PACE))
        story.typed("aixtiv", "claude", "ask", "what is a ticket?")
        text, took, pieces = self._streamed("claude", "ask", "what is a ticket?")
        story.printed(text)
        heard = self.claude.api.requests[-1]
        token = self.machine.token(ACCOUNT).access_token.reveal()
        held = text.strip() == ANSWER and pieces > 5 and sent(heard, "authorization") == f"Bearer {token}"
        story.shows(
            "Claude answers, streamed, through OAuth",
            f"the text came in {pieces} pieces over {took:.1f} s; Claude saw the token, the command never did",
            held=held,
        )

    def _sign_in(self) -> None:
        words = ("login", ACCOUNT, *self.claude.options())
        self.story.typed("aixtiv", *words)
        with self.machine.running(*words, BROWSER=self.machine.browser()) as login:
            visit(self.machine.opened(), "ada")
            out, err = login.communicate(timeout=PATIENCE)
        self.story.printed(out if login.returncode == 0 else err)

    def _streamed(self, *words: str) -> tuple[str, float, int]:
        """What a command printed, how long it went on printing, and in how many pieces."""
        pieces, first, last = b"", 0.0, 0.0
        count = 0
        with self.machine.running(*words) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.close()  # what comes there would belong to the prompt
            while select.select([process.stdout], [], [], PATIENCE)[0]:
                if not (piece := os.read(process.stdout.fileno(), 65536)):
                    break
                pieces, count, last = pieces + piece, count + 1, time.monotonic()
                first = first or last
            code = process.wait(PATIENCE)
            assert process.stderr
            assert code == 0, process.stderr.read()
        return pieces.decode(), last - first, count

    # ---- the same, after the token was revoked

    def fall_back(self) -> None:
        story = self.story
        story.act(
            "The token is revoked, behind everybody's back",
            "Claude takes it no more, and the grant is over, too. A sealed API key pays, and that is said.",
        )
        story.code("$ aixtiv api-key set < key.txt")
        story.printed(self.machine.run("api-key", "set", ACCOUNT, stdin=f"{KEY}\n").out)
        self.claude.revoke()
        before = len(self.claude.api.requests)
        story.typed("aixtiv", "claude", "ask", "and now?")
        asked = self.machine.run("claude", "ask", "and now?")
        story.printed(asked.err + asked.out)
        heard = self.claude.api.requests[before:]
        paid = [sent(request, "x-api-key") == KEY for request in heard]
        held = asked.code == 0 and asked.out.strip() == ANSWER and "warning" in asked.err and paid[-1:] == [True]
        story.shows(
            "a revoked token falls back to the key",
            f"Claude was asked {len(heard)} times: {', '.join(str(request['status']) for request in heard)}",
            held=held and heard[0]["status"] == 401,
        )

    # ---- federation

    def federate(self) -> None:
        story = self.story
        story.act(
            "An account that another account feeds",
            f"Claude's organisation trusts the provider where Ada signed in first: the ID token of `{self.identity}`,",
            "fresh because the daemon keeps it so, is exchanged for a token of Claude's (RFC 7523).",
        )
        words = ("login", FEDERATED, *self.claude.federation(self.identity))
        story.typed("aixtiv", *words)
        made = self.machine.run(*words)
        story.printed(made.out or made.err)
        story.typed("aixtiv", "claude", "ask", "--account", FEDERATED, "who pays?")
        asked = self.machine.run("claude", "ask", "--account", FEDERATED, "who pays?")
        story.printed(asked.err + asked.out)
        state = self.claude.api.until()
        used = sent(state["requests"][-1], "authorization").removeprefix("Bearer ")
        held = asked.code == 0 and used in state["issued"] and not asked.err
        story.shows(
            "an account is fed by another account",
            f"Claude checked the signature, and knows the caller as {state['subjects'][-1]}",
            held=held,
        )

    # ---- an SDK

    def hand_to_an_sdk(self) -> None:
        story = self.story
        story.act(
            "An official SDK, as its makers ship it",
            "It finds a base URL and a ticket in its environment. Both end with the program.",
        )
        there = [found for found in map(sdk_or_why_not, NAMES) if isinstance(found, Sdk)]
        if not there:
            story.say(f"None is here: {sdk_or_why_not(NAMES[0])}.")
            return
        for found in there:
            self._run(found)

    def _run(self, sdk: Sdk) -> None:
        story, before = self.story, len(self.claude.api.requests)
        program = "python program.py" if "python" in sdk.command[0] else "node program.mjs"
        story.code(f"$ aixtiv exec {FEDERATED} -- {program}      # {sdk.title}")
        came = sdk.run(
            "plain", "stream", before=(str(SCRIPTS / "aixtiv"), "exec", FEDERATED, "--"), environ=self.machine.environ
        )
        for act, text in came.acts.items():
            story.printed(f"{act:8}{textwrap.shorten(text, 80, placeholder='…')}")
        heard = self.claude.api.requests[before:]
        shown = str([request["headers"] for request in heard])
        held = came.acts == {"plain": ANSWER, "stream": ANSWER} and len(heard) == 2
        story.shows(
            sdk.title,
            "a plain call and a stream; Claude saw a real token, the program a ticket",
            held=held and "aixtiv-ticket" not in shown,
        )
