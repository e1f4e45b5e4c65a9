"""`aixtiv service`: the daemon as a service of this machine's own manager."""

import os
import sys
from typing import TYPE_CHECKING

import click

from aixtiv import show
from aixtiv.commands import options
from aixtiv.commands.group import Group
from aixtiv.failures import AixtivError
from aixtiv.words import moment, span

if TYPE_CHECKING:
    from aixtiv.service.state import Done, Manager, State
    from aixtiv_protocol.replies import DaemonStatus


@click.group("service", cls=Group)
def service() -> None:
    """Install the daemon as a service, and look after it.

    With systemd or launchd it starts at login, is guarded, and answers the first call after a boot. Where there is
    neither, as in a container, these commands look after a daemon in the background.
    """


@service.command("install")
@click.option("--linger", is_flag=True, help="Run without a login, too (loginctl enable-linger).")
@click.option("--headless", is_flag=True, help="On a server: no desktop is looked for, and none can be reached.")
@options.json
def install(linger: bool, headless: bool, as_json: bool) -> None:
    """Install the service, and start it.

    Writes the units with this installation's paths, and starts them. Once more, it brings them up to date. A daemon
    that runs in the background is ended first. Nothing of it needs root.
    """
    _did(_manager().install(linger=linger, headless=headless), as_json=as_json)


@service.command("uninstall")
@options.json
def uninstall(as_json: bool) -> None:
    """Stop the service, and remove it.

    Everything that `install` did is undone. Accounts, tokens and the config stay where they are.
    """
    _did(_manager().uninstall(), as_json=as_json)


@service.command("start")
@options.json
def start(as_json: bool) -> None:
    """Start the daemon.

    Where no service is installed, it is started in the background.
    """
    from aixtiv.service.background import Background  # noqa: PLC0415  # heavy: only where something is done

    manager = _manager()
    here = manager if manager.state().installed else Background("the service is not installed")
    _did(here.start(), as_json=as_json)


@service.command("stop")
@options.json
def stop(as_json: bool) -> None:
    """Stop the daemon, and let go of its sockets.

    Refreshes that are under way are finished first.
    """
    _did(_manager().stop(), as_json=as_json)


@service.command("restart")
@options.json
def restart(as_json: bool) -> None:
    """Replace the daemon by the one that is installed now.

    Refreshes that are under way are finished first. Its sockets stay open all the while: no caller is refused.
    """
    from aixtiv.service import running  # noqa: PLC0415  # heavy: only where something is done
    from aixtiv.service.state import Done  # noqa: PLC0415  # as above

    manager = _manager()
    note, status = running.restart(manager, show.note)
    warnings = (*running.locked(status), *_faults(manager.state(), status))  # an upgrade may have brought other units
    if note and not warnings:
        show.note(note)
    _did(Done(f"aixtivd {status.version} answers (pid {status.pid})", warnings), as_json=as_json)


@service.command("status")
@options.json
def status(as_json: bool) -> None:
    """Say what is installed, and how it runs."""
    from aixtiv.service import running  # noqa: PLC0415  # heavy: only where something is asked

    state = _manager().state()
    asleep = state.listening and not state.running  # a question would wake it
    daemon = None if asleep else running.answering()
    if as_json:
        show.as_json({**show.shape(state), "version": daemon.version if daemon else ""})
        return
    show.pairs(
        [
            ("service", _installed(state)),
            ("daemon", _runs(state, daemon)),
            *(("file" if not number else "", show.short(file)) for number, file in enumerate(state.files)),
        ]
    )
    for sentence, hint in _faults(state, daemon):
        show.warning(sentence)
        show.hint(hint)


@service.command("logs")
@click.option("--follow", "-f", is_flag=True, help="Go on showing what is added, until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=options.Number("lines", 1_000_000, whole=True),
    default=50,
    help="How many, from the end (50).",
)
def logs(follow: bool, lines: int) -> None:
    """Show the daemon's log: the journal's, or the file's."""
    command = _manager().log(lines=lines, follow=follow)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606  # a list, never a shell; in our place, so that Ctrl-C is its own
    except OSError as error:
        raise AixtivError(f"{command[0]} cannot be run: {error.strerror}") from None


def _manager() -> "Manager":
    from aixtiv.service import here  # noqa: PLC0415  # heavy: only where something is done

    return here.manager()


def _did(done: "Done", *, as_json: bool) -> None:
    for sentence, hint in done.warnings:
        show.warning(sentence)
        show.hint(hint)
    if as_json:
        show.as_json({"note": done.note})
    else:
        show.result(done.note)


def _installed(state: "State") -> str:
    if not state.installed:
        return f"not installed ({state.problem})" if not state.manager else "not installed"
    if not state.manager:
        return f"installed, but {state.problem}"
    when = (
        "without a login, too" if state.linger and state.enabled else "at login" if state.enabled else "not by itself"
    )
    return f"installed with {state.manager}, starts {when}"


def _runs(state: "State", daemon: "DaemonStatus | None") -> str:
    if daemon is None and not state.running:
        return "waits for the first call" if state.listening else "does not run"
    since = daemon.started_at if daemon else state.since
    age = f" since {moment(since)} ({span(_now() - since)})" if since else ""
    version = f", aixtivd {daemon.version}" if daemon else ", and does not answer"
    return f"runs{age}{version}, pid {daemon.pid if daemon else state.pid}"


def _now() -> float:
    import time  # noqa: PLC0415  # one command of seven needs it

    return time.time()


def _faults(state: "State", daemon: "DaemonStatus | None") -> list[tuple[str, str]]:
    from aixtiv.service.state import faults  # noqa: PLC0415  # heavy: only where something is asked

    return faults(state, daemon.pid if daemon else 0)
