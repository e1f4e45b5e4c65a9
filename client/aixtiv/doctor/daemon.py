"""The daemon: whether it can be asked, which version it is, and what it found out itself."""

from collections.abc import Callable, Iterator
from typing import Final

from aixtiv import ports, show
from aixtiv.client import Client
from aixtiv.doctor.finding import Finding, Repair, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.failures import AixtivError, Locked, NoAccount
from aixtiv.service import here, running
from aixtiv_protocol import VERSION

EXAMINED: Final = ("key-source", "clock", "issuer", "token")
"""What only the daemon can look at."""

NOT_ASKED: Final = "only the daemon can look at this, and it cannot be asked"


def check_daemon(situation: Situation) -> Iterator[Finding]:
    if situation.trouble:
        yield wrong("daemon", situation.trouble.sentence, situation.trouble.hint)
    elif situation.status:
        yield fine("daemon", f"aixtivd {situation.status.version} answers (pid {situation.status.pid})")
    else:
        yield fine("daemon", "aixtivd answers")


def check_version(situation: Situation) -> Iterator[Finding]:
    if situation.welcome is None:
        yield skipped("version", NOT_ASKED)
    elif situation.welcome.version == VERSION:
        yield fine("version", f"daemon and command are both {VERSION}")
    else:
        sentence = f"the daemon is {situation.welcome.version} and this command {VERSION}"
        mend = Repair("restarted the daemon", _restart, question="restart the daemon")
        yield wrong("version", sentence, "aixtiv service restart", repair=mend)


def _restart() -> None:
    running.restart(here.manager(), show.note)


def check_vault(situation: Situation) -> Iterator[Finding]:
    status = situation.status
    if status is None:
        yield skipped("vault", NOT_ASKED)
    elif status.locked:
        why = "its passphrase is still to be chosen" if status.new_store else status.lock_reason
        yield wrong("vault", f"the vault is locked{f': {why}' if why else ''}", "aixtiv unlock")
    elif status.damaged:
        yield wrong("vault", f"{status.damaged} records fail their seal; they are kept and not used", "aixtiv status")
    elif status.spilled:
        yield wrong("vault", f"{status.spilled} grants wait for room on the disk", "df -h ~")
    else:
        yield fine("vault", "open, and every record fits its seal")


def check_gateway(situation: Situation) -> Iterator[Finding]:
    status, claude = situation.status, situation.tables.get("claude")
    wanted = claude.get("port", 0) if isinstance(claude, dict) else 0
    if status is None:
        yield skipped("gateway", NOT_ASKED)
    elif status.gateway_problem:
        hint = ports.who(wanted) if wanted and not status.gateway_port else "aixtiv status"
        yield wrong("gateway", status.gateway_problem, hint)
    elif status.gateway_port != wanted:
        sentence = f"the config says port {wanted or 'none'} for it, and the daemon has {status.gateway_port or 'none'}"
        yield wrong("gateway", sentence, "aixtiv reload", repair=Repair("reloaded the config", _reloading(situation)))
    else:
        fixed = f" and at http://127.0.0.1:{wanted}" if wanted else ""
        yield fine("gateway", f"tools can call at {show.short(status.gateway)}{fixed}")


def check_published(situation: Situation) -> Iterator[Finding]:
    """The files in which tools find a token."""
    status = situation.status
    tables = situation.tables.get("account")
    accounts = tables.values() if isinstance(tables, dict) else ()
    named = sum(isinstance(account, dict) and "publish" in account for account in accounts)
    if status is None:
        yield skipped("published", NOT_ASKED)
    elif status.publish_problem:
        yield wrong("published", status.publish_problem, "aixtiv reload")
    elif not named:
        yield fine("published", "the config names no file for tools to find a token in")
    else:
        yield fine("published", f"every file that the config names is as it should be ({named})")


def _reloading(situation: Situation) -> Callable[[], None]:
    def reload() -> None:
        with Client(situation.socket) as client:
            client.reload()

    return reload


def check_examined(situation: Situation) -> Iterator[Finding]:
    """The daemon's own findings, in the order of their names; one line for each name, whatever it said."""
    for name in EXAMINED:
        found = [finding for finding in situation.examined if finding.name == name]
        yield from (_told(name, found.ok, found.sentence, found.hint, found.account) for found in found)
        failure = situation.unexamined
        if isinstance(failure, NoAccount) and name == "token":
            yield wrong(name, failure.sentence, failure.hint)
        elif not found:
            yield skipped(name, _why_not(situation))
    for other in situation.examined:
        if other.name not in EXAMINED:  # a newer daemon's
            yield _told(other.name, other.ok, other.sentence, other.hint, other.account)


def _told(name: str, ok: bool, sentence: str, hint: str, account: str) -> Finding:  # noqa: FBT001  # as it came
    return fine(name, sentence, account=account) if ok else wrong(name, sentence, hint, account=account)


def _why_not(situation: Situation) -> str:
    failure: AixtivError | None = situation.unexamined
    if situation.welcome is None:
        return NOT_ASKED
    if isinstance(failure, Locked):
        return "the vault is locked"
    if failure:
        return f"the daemon does not say: {failure.sentence}"
    return "no account needs it"
