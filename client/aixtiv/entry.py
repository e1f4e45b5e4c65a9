"""Where `aixtiv` begins: the fast lane where it knows the words, else the whole command."""

import sys


def git_credential() -> None:
    """The console script `git-credential-aixtiv`, which git finds by that name."""
    main(["git-credential", *sys.argv[1:]])


def main(words: list[str] | None = None) -> None:
    """The console script. Imports nothing of weight until it is known to be needed (D3)."""
    words = sys.argv[1:] if words is None else words
    answered = b""
    try:
        if words and words[0] in ("token", "claude-key"):
            from aixtiv import fast  # noqa: PLC0415  # only these need it

            serve = fast.serve_token if words[0] == "token" else fast.serve_key
            answered = serve(words[1:])  # does not come back when it has printed what was asked for
        from aixtiv.command import run  # noqa: PLC0415  # heavy: click

        status = run(words, answered)
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
