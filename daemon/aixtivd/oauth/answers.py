"""What a token endpoint's answer means: every possible one becomes an Outcome, none an exception (D7). No I/O.

| answer | outcome |
| --- | --- |
| 2xx, a JSON object with `access_token` | Granted, whatever its label and blots: no pair is dropped for them |
| 2xx, a refresh token beside an access token that is missing or cannot be used | Rotated: it may be the only good one |
| 2xx that is a web page; 3xx | TryAgain: a captive portal answered, nothing was spent |
| 2xx, anything else that is not OAuth's | TryAgain, maybe spent: the answer may be the rest of a granted one |
| 2xx of which only a part came, or is JSON | the same, with the new refresh token if that part holds it whole |
| 408, 429, 5xx | TryAgain, whatever the body |
| 4xx without a well-formed OAuth error in JSON | TryAgain |
| `invalid_grant` with 400 or 401 | NeedsSignIn: the only end of a grant |
| `invalid_client`, `unauthorized_client`, `invalid_scope`, `unsupported_grant_type` | Misconfigured |
| `temporarily_unavailable`, `server_error`, `slow_down` | TryAgain: they say so themselves |
| any other error, and `invalid_grant` with another status | Refused |

An error in a 200 is sorted by its code like one in a 400 where the provider is known for that (`errors_in_200`);
elsewhere the same, but `invalid_grant` is then only Refused, since 200 is not what ends a grant.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from aixtiv_protocol.secret import Secret
from aixtivd.oauth.client import Quirks
from aixtivd.oauth.document import as_object, beginning
from aixtivd.oauth.outcomes import Granted, Misconfigured, NeedsSignIn, Outcome, Refused, Rotated, Tokens, TryAgain
from aixtivd.oauth.web import Answer, WebFailure, http_date
from aixtivd.oauth.words import in_words, shown

_OURS_TO_MEND: Final = frozenset({"invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type"})
_PASSING: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_PASSING_STATUS: Final = frozenset({408, 429})
_ERROR_CODE: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,100}")  # RFC 6749 §5.2
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")  # what may stand in an Authorization header
_JSON: Final = re.compile(r"application/(json|[\w.+-]+\+json)|text/json")
_LONGEST_LIFE: Final = 10 * 365 * 86400  # above it, `expires_in` is milliseconds or a date: not to be believed
_LONGEST_WAIT: Final = 86400.0  # seconds; the refresher has its own, far lower, bound
_LONGEST_TOKEN: Final = 64 * 1024  # characters; servers take headers of 8 to 16 KiB, and each generation is kept a day
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
_MOST_SCOPES: Final = 100
_LONGEST_SCOPES: Final = 4096  # characters in all: they stand in every answer about the account


class OAuthError(msgspec.Struct, frozen=True):
    """A well-formed error (RFC 6749 §5.2), its words made fit to show."""

    code: str
    words: str


def sort(
    answer: Answer,
    quirks: Quirks,
    now: float,
    *,
    host: str,
    secrets: Iterable[Secret] = (),
    refreshes: bool = False,
) -> Outcome:
    """`host` begins each sentence; `now`: Unix time; `secrets` are cut out of the provider's words, should it quote.

    `refreshes`: the request was one for a refresh, so that there is a refresh token, whatever the answer holds.
    """
    document = as_object(answer.body, alone=not 200 <= answer.status < 300)
    if 200 <= answer.status < 300:
        return _sort_success(answer, document, quirks, host, secrets, refreshes=refreshes)
    if 300 <= answer.status < 400:
        return TryAgain(reason=f"{host} answered {answer.status}, a redirect, which is not followed")
    if answer.status in _PASSING_STATUS or answer.status >= 500:
        return TryAgain(reason=f"{host} answered {answer.status}", retry_after=retry_after(answer.headers, now))
    error = oauth_error(answer, document, secrets)
    if error is None:
        reason = f"{host} answered {answer.status}, and not as a token endpoint does"
        return TryAgain(reason=reason, retry_after=retry_after(answer.headers, now))
    return _sort_error(error, quirks, host, terminal=answer.status in {400, 401})


def sort_failure(failure: WebFailure, now: float) -> TryAgain:
    """A request without a whole answer. A head that shows a 3xx, 4xx, 5xx or a web page says that nothing was spent."""
    page = failure.status and "html" in failure.headers.get("content-type", "").lower()
    lost = failure.status == 0 or (200 <= failure.status < 300 and not page)
    return TryAgain(
        reason=failure.sentence,
        retry_after=retry_after(failure.headers, now),
        maybe_spent=failure.maybe_sent and lost,
        refresh_token=_refresh_token(beginning(failure.body).get("refresh_token")) if lost else None,
    )


def _sort_success(
    answer: Answer,
    document: dict[str, object] | None,
    quirks: Quirks,
    host: str,
    secrets: Iterable[Secret],
    *,
    refreshes: bool,
) -> Outcome:
    if document is not None and document.get("access_token"):
        return _sort_tokens(document, quirks, host, refreshes=refreshes)
    if error := oauth_error(answer, document, secrets):
        return _sort_error(error, quirks, host, terminal=quirks.errors_in_200)
    reason = f"{host} answered {answer.status} without a token"
    if document is not None and (rotated := _rotated(document, reason)):
        return rotated
    if _is_page(answer):
        return TryAgain(reason=f"{host} answered with a web page: is there a network sign-in in between")
    rest = _refresh_token(beginning(answer.body).get("refresh_token")) if document is None else None
    return TryAgain(reason=reason, maybe_spent=True, refresh_token=rest)


def _sort_tokens(document: dict[str, object], quirks: Quirks, host: str, *, refreshes: bool) -> Outcome:
    access = _access_token(document["access_token"])
    if access is None:
        reason = f"{host} answered with an access token that cannot be one"
        return _rotated(document, reason) or TryAgain(reason=reason, maybe_spent=True)
    kind = document.get("token_type")
    if isinstance(kind, str) and kind.strip().lower() != "bearer":
        reason = f"{host} gave a token of the type {shown(kind.strip())[:40]}, only Bearer can be used"
        return _rotated(document, reason) or Refused(reason=reason)
    refresh = _refresh_token(document.get("refresh_token"))
    tokens = Tokens(
        access_token=access,
        expires_in=_lifetime(document.get("expires_in"), refreshes=refreshes or refresh is not None),
        refresh_token=refresh,
        scopes=_scopes(document.get("scope"), quirks),
        id_token=_id_token(document.get("id_token")),
    )
    return Granted(tokens=tokens)


def _rotated(document: dict[str, object], reason: str) -> Rotated | None:
    """A server that rotates holds the old refresh token for spent by now: the new one must not go with the rest."""
    refresh = _refresh_token(document.get("refresh_token"))
    return Rotated(refresh_token=refresh, reason=reason) if refresh else None


def _sort_error(error: OAuthError, quirks: Quirks, host: str, *, terminal: bool) -> Outcome:
    reason = f"{host} says {error.words}"
    code = quirks.error_names.get(error.code, error.code)
    if code == "invalid_grant" and terminal:
        return NeedsSignIn(reason=reason)
    if code in _OURS_TO_MEND:
        return Misconfigured(reason=reason)
    if code in _PASSING:
        return TryAgain(reason=reason)
    return Refused(reason=reason)


def oauth_error(
    answer: Answer, document: dict[str, object] | None, secrets: Iterable[Secret] = ()
) -> OAuthError | None:
    """None unless the answer says that it is JSON and holds `error` as RFC 6749 §5.2 has it."""
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if document is None or (content_type and not _JSON.fullmatch(content_type)):
        return None
    code = document.get("error")
    if not isinstance(code, str) or not _ERROR_CODE.fullmatch(code):
        return None
    return OAuthError(code, in_words(code, document.get("error_description"), document.get("error_uri"), secrets))


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds a server asks us to wait (RFC 9110 §10.2.3), 0 if it does not. A date counts from the server's own."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return min(float(text), _LONGEST_WAIT)
    until = http_date(text)
    if until is None:
        return 0.0
    since = http_date(headers.get("date", ""))
    return min(max(until - (now if since is None else since), 0.0), _LONGEST_WAIT)


def _is_page(answer: Answer) -> bool:
    return "html" in answer.headers.get("content-type", "").lower() or answer.body.lstrip()[:1] == b"<"


def _lifetime(value: object, *, refreshes: bool) -> int | None:
    """Seconds, from a number or a string of one; None for what cannot be a lifetime.

    0 or less: the token is over, or about to be (a server that hands out the same one until its end rounds down). It
    counts for a second, so that the next use brings another. Where nothing can bring one, it is as if it was not said.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = int(float(value))
    except (ValueError, OverflowError):
        return None
    if seconds <= 0:
        return 1 if refreshes else None
    return seconds if seconds <= _LONGEST_LIFE else None


def _scopes(value: object, quirks: Quirks) -> tuple[str, ...] | None:
    """RFC 6749 §3.3 separates by spaces; a JSON list is seen in the wild, too. What can be no scope is left out."""
    if isinstance(value, str):
        said = (value.replace(",", " ") if quirks.scopes_by_comma else value).split()
    elif isinstance(value, list) and all(isinstance(scope, str) for scope in value):
        said = value
    else:
        return None
    kept: list[str] = []
    room = _LONGEST_SCOPES
    for scope in said:
        room -= len(scope) + 1
        if room < 0 or len(kept) == _MOST_SCOPES:
            break
        if _SCOPE.fullmatch(scope):
            kept.append(scope)
    return tuple(kept)


def _access_token(value: object) -> Secret | None:
    """Blanks around it are a slip of the server: no header could carry them."""
    text = value.strip() if isinstance(value, str) else ""
    return Secret(text) if len(text) <= _LONGEST_TOKEN and _VISIBLE.fullmatch(text) else None


def _refresh_token(value: object) -> Secret | None:
    """Sent in a form, so it may hold more than a header can. A space may be part of it (RFC 6749 §A.17), a line break
    not. U+FFFD stands where the answer could not be read: that is not the token any more.
    """
    only = value[0] if isinstance(value, list) and len(value) == 1 else value
    text = only.strip("\t\r\n") if isinstance(only, str) else ""
    usable = 0 < len(text) <= _LONGEST_TOKEN and text.isprintable() and "\ufffd" not in text
    return Secret(text) if usable else None


def _id_token(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) and 0 < len(value) <= _LONGEST_TOKEN else None
