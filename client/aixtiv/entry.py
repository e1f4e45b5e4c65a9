"""Where `aixtiv` begins: the fast lane where it knows the words, else the whole command."""

import sys


def main() -> None:
    """The console script. Imports nothing of weight until it is known to be needed (D3)."""
    words = sys.argv[1:]
    answered = b""
    try:
        if words and words[0] == "token":
            from aixtiv import fast  # noqa: PLC0415  # only `token` needs it

            answered = fast.serve_token(words[1:])  # does not come back when it has printed a token
        from aixtiv.command import run  # noqa: PLC0415  # heavy: click

        status = run(words, answered)
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
