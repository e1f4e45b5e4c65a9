"""Claude's endpoint, asked for real: the causes of the old command's 404 are told apart by asking."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from msgspec import structs

from aixtiv.claude import MESSAGES, ORIGIN, VERSION
from aixtiv.doctor import old
from aixtiv.doctor.finding import Finding, Repair, fine, skipped, wrong
from aixtiv.doctor.situation import MODELS, Answered, Question, Situation
from aixtiv.show import short

_EMPTY: Final = b"{}"  # a message without its fields: never answered by a model, and so free
_NOBODYS: Final = "/aixtiv-doctor-asks/whether-this-is-there"
_NOWHERE: Final = (404, 405)
_JSON: Final = (("content-type", "application/json"), ("anthropic-version", VERSION))


def check_path(situation: Situation) -> list[Finding]:
    nothing = old.nothing(situation, "claude-path", f"nothing says another path than Claude's own, {MESSAGES}")
    return [old.unsaid(situation, _path(situation, said)) for said in old.endpoints(situation)] or [nothing]


def _path(situation: Situation, said: old.Said) -> Finding:
    base, path = _split(said.value)
    if not base:
        return wrong("claude-path", f"{said.where} is no address", said.hint, repair=said.mended(ORIGIN + MESSAGES))
    there, how = _asked(situation, base, path)
    what = "path" if how[:1].isdigit() else "address"
    if there:
        return fine("claude-path", f"{said.where}: {base}{path} answers ({how})")
    right, proof = next(
        ((one, proof) for one in _bases(base) for yes, proof in [_asked(situation, one, MESSAGES)] if yes), ("", "")
    )
    if not right:
        sentence = f"{said.where}: {base}{path} does not answer as Claude does ({how}), nor does {MESSAGES} there"
        return wrong("claude-path", sentence, said.hint)
    sentence = (
        f"{said.where}: {base}{path} is the wrong {what} ({how}); {right}{MESSAGES} is right, and answers ({proof})"
    )
    hint = said.hint if said.text else f"export {said.where}={right}{MESSAGES}"
    return wrong("claude-path", sentence, hint, repair=said.mended(right + MESSAGES))


def _split(url: str) -> tuple[str, str]:
    """What stands before Claude's own path, and that path, which is `/v1/messages` where the URL has none."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "", ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "", ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    prefix, version, rest = parts.path.rstrip("/").partition("/v1")
    if not version:
        prefix, rest = "", prefix
    return f"{parts.scheme}://{host}{port}{prefix}", version + rest or MESSAGES


def _bases(base: str) -> list[str]:
    """Where the messages may be instead: there, at that host's root, at Claude's own."""
    parts = urlsplit(base)
    return list(dict.fromkeys((base, f"{parts.scheme}://{parts.netloc}", ORIGIN)))


def _asked(situation: Situation, base: str, path: str) -> tuple[bool, str]:
    """Whether there is such a place, and what was said. A message without its fields is asked for, which costs nothing.

    With the account's credential where the daemon takes it there: an API may say 401 to whoever shows none, whatever
    the path. Then a path that nobody can have is asked for as well, and if that draws the same, only Claude's own
    path counts.
    """
    question = Question(path, "POST", _JSON, _EMPTY)
    answered = situation.relay(structs.replace(question, endpoint=base))
    if answered.status:
        return answered.status not in _NOWHERE and bool(answered.kind), _words(answered)
    answered = situation.bare(base, question)
    if not answered.status:
        return False, answered.message
    there = answered.status in (400, 401, 403) and bool(answered.kind)
    if (
        there
        and path != MESSAGES
        and situation.bare(base, structs.replace(question, path=_NOBODYS)).status == answered.status
    ):
        return False, f"{answered.status} to any path, and Claude's is {MESSAGES}"
    return there, _words(answered)


def _words(answered: Answered) -> str:
    return f"{answered.status} {answered.kind}".rstrip()


def check_header(situation: Situation) -> Iterator[Finding]:
    said = old.headers(situation)
    if not said:
        yield old.nothing(situation, "claude-header", f"nothing sends a header `{old.HEADER}`, which does not exist")
        return
    question = Question(MODELS.path, headers=(*MODELS.headers, (old.HEADER, "asked-by-aixtiv-doctor")))
    answered = situation.bare(_said_origin(situation) or ORIGIN, question)
    heard = f" (asked: {answered.status} {answered.message})" if answered.status else ""
    for one in said:
        sentence = (
            f"{one.where} names `{old.HEADER}`, which Claude does not know{heard}; "
            "a key goes in x-api-key, a token in Authorization"
        )
        yield old.unsaid(situation, wrong("claude-header", sentence, one.hint, repair=_renamed(one)))


def _renamed(said: old.Said) -> Repair | None:
    """A value that names it becomes the right name; a key that is it goes, since aixtiv sets the header itself."""
    is_value = said.text and said.text.keys[-1].lower() != old.HEADER
    return said.mended("x-api-key" if is_value else None)


def _said_origin(situation: Situation) -> str:
    """Where Claude is, as far as this shell says; empty: it does not."""
    bases = (_split(said.value)[0] for said in old.endpoints(situation))
    return next((base for base in bases if base), "")


def check_version(situation: Situation) -> list[Finding]:
    own = f"nothing says another anthropic-version than aixtiv's own, {VERSION}"
    nothing = old.nothing(situation, "claude-version", own)
    return [old.unsaid(situation, _version(situation, said)) for said in old.versions(situation)] or [nothing]


def _version(situation: Situation, said: old.Said) -> Finding:
    answered = _with_version(situation, said.value)
    what = f"{said.where} is {said.value}" if said.value else f"{said.where} is empty"
    if answered.status == 400 and "version" in answered.message:
        proven = _with_version(situation, VERSION)
        good = f"; {VERSION} is right, and answers ({proven.status})" if proven.status not in (0, 400) else ""
        sentence = f"{what}, which Claude does not take as anthropic-version ({answered.message}){good}"
        hint = said.hint
        return wrong("claude-version", sentence, hint, repair=said.mended(VERSION) if good else None)
    if not answered.status:
        return skipped("claude-version", f"{what}; Claude could not be asked: {answered.message}")
    return fine("claude-version", f"{what}, and Claude takes it ({answered.status})")


def _with_version(situation: Situation, version: str) -> Answered:
    """With a credential: without one Claude says 401, whatever the version."""
    headers = (("anthropic-version", version),) if version else ()
    return situation.relay(Question(MODELS.path, headers=headers))


def check_api(situation: Situation) -> Iterator[Finding]:
    """The whole way: through the daemon, with the credential that pays."""
    if situation.account and not _is_claudes(situation):
        yield skipped("claude-api", f"{situation.account} is no account of Claude's")
        return
    said = _said_origin(situation)
    answered = situation.relay(structs.replace(MODELS, endpoint=said))
    if answered.status in (200, 429):
        sentence = f"{answered.account}: Claude answers ({answered.status}), its {answered.paid} pays"
        noted = f"{sentence}: {answered.note}" if answered.note else sentence
        yield fine("claude-api", noted, account=answered.account)
    elif answered.code == "no_account" and not _is_meant(situation):
        yield skipped("claude-api", "no account for Claude is here yet", "aixtiv api-key set")
    elif situation.welcome is None:
        yield skipped("claude-api", "only the daemon can ask with a credential, and it cannot be asked")
    elif not answered.status:
        yield old.unsaid(situation, _unanswered(situation, answered))
    else:
        yield old.unsaid(situation, _refused(answered, said))


def _is_claudes(situation: Situation) -> bool:
    return any(a.name == situation.account and a.provider == "anthropic" for a in situation.accounts)


def _is_meant(situation: Situation) -> bool:
    """Whether there should be an account: one is configured, or there are several and none of them is the one."""
    return bool(_configured(situation)) or any(known.provider == "anthropic" for known in situation.accounts)


def _configured(situation: Situation) -> str:
    table = situation.tables.get("claude")
    return str(table.get("account", "")) if isinstance(table, dict) else ""


def _unanswered(situation: Situation, answered: Answered) -> Finding:
    """No answer of the API's: in the daemon's words, with a hint that does not lead back here."""
    sentence, hint, file = answered.message, answered.hint, short(str(situation.config))
    if answered.code == "no_account" and (configured := _configured(situation)):
        sentence, hint = f"{file} says [claude] account = {configured!r}: {sentence}", f"$EDITOR {situation.config}"
    elif hint in ("", "aixtiv doctor"):
        sentence += f"; {file} may say how it is reached: [network] proxy, or [api.NAME] origin with its port"
        hint = f"$EDITOR {situation.config}"
    return wrong("claude-api", sentence, hint, account=answered.account)


def _refused(answered: Answered, origin: str) -> Finding:
    name = answered.account or "anthropic"
    said = f"{answered.kind}: {answered.message}" if answered.kind else answered.message or "no word why"
    hints = {
        401: f"aixtiv api-key set {name}" if answered.paid == "api-key" else f"aixtiv login {name}",
        404: "unset CLAUDE_API_ENDPOINT" if origin else "aixtiv config check",
    }
    sentence = f"{name}: Claude answers {answered.status} to its {answered.paid or 'credential'} ({said})"
    return wrong("claude-api", sentence, hints.get(answered.status, "aixtiv status"), account=answered.account)
