"""What a document or a hint tells a person to type."""

import shlex

import click

from aixtiv.commands import aixtiv


def named_wrongly(line: str) -> str:
    """Which word of a typed `aixtiv …` does not exist; empty if all is right."""
    try:
        words = shlex.split(line.replace("…", ""))[1:]
    except ValueError:
        return f"quotes in: {line}"
    words = words[: words.index("--")] if "--" in words else words  # behind it stands another command
    found: click.Command = aixtiv
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        if words[0] == "FILLED":  # a name that is known only when it is said
            return ""
        inner = found.get_command(click.Context(found), words[0])
        if inner is None or inner.name == "gone":
            return f"no command {words[0]}: {line}"
        found, words = inner, words[1:]
    options = {name for parameter in found.params for name in parameter.opts} | {"--help", "-h", "--version"}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]
    return f"no option {unknown[0]}: {line}" if unknown else ""
