"""`aixtiv config check`: is the config file right?"""

import subprocess

import click

from aixtiv import show, start
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.failures import AixtivError


@click.group("config", cls=Group)
def config() -> None:
    """Look after the daemon's config file."""


@config.command("check")
@options.json
def check(as_json: bool) -> None:
    """Check the config file, without a daemon.

    The daemon's own code reads it: what passes here is what `aixtiv reload` will take.
    """
    checked = subprocess.run([start.executable(), "--check-config"], capture_output=True, text=True, check=False)
    problem = start.said(checked.stderr.splitlines())
    if checked.returncode and not problem:
        raise AixtivError("the config could not be checked", hint="aixtivd --check-config")
    if as_json:
        show.as_json({"ok": not checked.returncode, "path": checked.stdout.strip(), "problem": problem})
    elif not checked.returncode:
        show.result(f"{show.short(checked.stdout.strip())} is fine")
    if checked.returncode:
        raise AixtivError(problem, hint="")
