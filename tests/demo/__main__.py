"""`make demo`: aixtiv does its job in front of you, against a real authorization server, on a throw-away home."""

import shutil
import sys
import tempfile
from pathlib import Path

from demo.acts import ACCOUNT, Demo
from demo.calls import Calls
from demo.stage import claude, server
from demo.story import Story
from peers.machine import Machine


def main() -> int:
    story = Story()
    folder = Path(tempfile.mkdtemp(prefix="aix-", dir="/tmp"))  # short, for the socket's path
    try:
        with server() as opposite, claude(opposite.issuer) as api, Machine(folder) as machine:
            story.title(
                "aixtiv: one local owner for every OAuth credential",
                "Tools that each keep a copy of a rotating refresh token sign each other out.",
                "Here one daemon owns it, keeps it fresh and sealed, and hands out access tokens on a Unix socket.",
                "",
                f"authorization server: {opposite.name}",
                f"home: {machine.home}, thrown away afterwards",
            )
            machine.configure(f'[api.anthropic]\norigin = "{api.api.url}"\n')
            machine.start()
            Demo(story, machine, opposite, Calls(story, machine, api, ACCOUNT)).play()
            held = story.close()
            if not held:
                print(machine.log, file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
