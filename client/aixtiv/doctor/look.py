"""Making a Situation: the shell and the paths as they are, the daemon and the API asked."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import platformdirs

from aixtiv import filed, itself, place
from aixtiv.claude import trouble
from aixtiv.client import Client
from aixtiv.doctor.situation import Answered, Question, Situation
from aixtiv.failures import AixtivError

T = TypeVar("T")

PATIENCE: Final = 15.0  # seconds for one answer of the API
_MOST: Final = 64 * 1024  # bytes of an error's body


def situation(client: Client, account: str) -> Situation:
    """What the daemon says of itself, too. Nothing here raises: what could not be asked is part of what was found."""
    welcome, trouble = _tried(client.hello)
    status, _ = _tried(client.status) if welcome else (None, None)
    examined, unexamined = _tried(lambda: client.examine(account)) if welcome else (None, None)
    audited, unaudited = _tried(client.audit_verify) if welcome else (None, None)
    config = (
        Path(status.config)
        if status and status.config
        else Path(platformdirs.user_config_dir("aixtiv")) / "config.toml"
    )
    return Situation(
        environ=dict(os.environ),
        home=Path.home(),
        here=Path.cwd(),
        platform=sys.platform,
        command=itself.file(),
        socket=place.socket(),
        state=Path(status.store).parent if status and status.store else Path(platformdirs.user_state_dir("aixtiv")),
        config=config,
        tables=_tables(config),
        relay=_remembered(lambda question: _relayed(client, account, question)) if welcome else _unasked,
        bare=bare,
        account=account,
        welcome=welcome,
        trouble=trouble,
        status=status,
        examined=examined.findings if examined else (),
        unexamined=unexamined,
        audited=audited,
        unaudited=unaudited,
    )


def _tried(ask: Callable[[], T]) -> tuple[T | None, AixtivError | None]:
    try:
        return ask(), None
    except AixtivError as failure:
        return None, failure


def _tables(config: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415  # heavy: only the doctor reads the config itself

    try:
        return tomllib.loads(filed.contents(config).decode("utf-8-sig"))
    except (FileNotFoundError, filed.Misread, ValueError, RecursionError):
        return {}  # the check `config` says so


def _unasked(_: Question) -> Answered:
    return Answered(message="the daemon cannot be asked")


def _remembered(ask: Callable[[Question], Answered]) -> Callable[[Question], Answered]:
    """Several checks ask the same; the API hears it once."""
    heard: dict[Question, Answered] = {}

    def remembered(question: Question) -> Answered:
        if question not in heard:
            heard[question] = ask(question)
        return heard[question]

    return remembered


def _relayed(client: Client, account: str, question: Question) -> Answered:
    try:
        with client.relay(
            question.path,
            method=question.method,
            account=account,
            headers=(*question.headers, ("accept-encoding", "identity")),
            body=question.body or None,
            endpoint=question.endpoint,
            wait=PATIENCE,
        ) as answer:
            said = answer.beginning(_MOST)  # of a good answer, too: one that is left unread counts as broken off
            kind, message = _said(said) if answer.status >= 400 else ("", "")
            return Answered(answer.status, kind, message, account=answer.account, paid=answer.kind, note=answer.note)
    except AixtivError as failure:
        return Answered(message=failure.sentence, hint=failure.hint, code=failure.code)


def bare(origin: str, question: Question) -> Answered:
    """Straight to the API and without a credential: the shell's proxies count, as they do for any tool in it."""
    import http.client  # noqa: PLC0415  # heavy: only where something is asked without the daemon
    import urllib.error  # noqa: PLC0415  # heavy: only where something is asked without the daemon
    import urllib.request  # noqa: PLC0415  # as above

    request = urllib.request.Request(  # noqa: S310  # http and https are all that `claude-path` lets through
        origin + question.path, question.body or None, dict(question.headers), method=question.method
    )
    try:
        return _heard(request)
    except urllib.error.URLError as error:
        return Answered(message=_why(error.reason))
    except (OSError, ValueError, http.client.HTTPException) as error:  # an answer that is no HTTP, a time-out
        return Answered(message=_why(error))


def _heard(request: Any) -> Answered:
    import urllib.error  # noqa: PLC0415  # heavy: see bare
    import urllib.request  # noqa: PLC0415  # as above

    opener = urllib.request.build_opener(_no_redirect(), *_past_proxies(request.host))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            answer.read(_MOST)  # else it counts as broken off
            return Answered(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answered(refusal.code, *_said(refusal.read(_MOST)))


def _why(error: object) -> str:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words.lower().rstrip(".") or "no answer"


def _past_proxies(host: str) -> list[Any]:
    """For the gateway on this machine, whatever the shell says of proxies: they would get to see the ticket."""
    import urllib.request  # noqa: PLC0415  # heavy: see bare

    return [urllib.request.ProxyHandler({})] if host.startswith("127.0.0.1:") else []


def _no_redirect() -> Any:
    import urllib.request  # noqa: PLC0415  # heavy: see bare

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """What stands elsewhere is not what was asked for."""

    return NoRedirect()


def _said(body: bytes) -> tuple[str, str]:
    """Type and message of an error in Claude's form; empty for any other."""
    told = trouble(body)
    return told.type, told.message[:300]
