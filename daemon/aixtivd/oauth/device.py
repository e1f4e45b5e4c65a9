"""The device grant (RFC 8628): a code that a person types on another machine, and what the answers to polling mean."""

import math
import re
from typing import Final, Literal

from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd.clock import Clock
from aixtivd.errors import AixtivError, Misconfigured, Refused, Unreachable
from aixtivd.oauth import answers, outcomes
from aixtivd.oauth.client import Client
from aixtivd.oauth.document import as_object
from aixtivd.oauth.endpoint import Endpoint, said
from aixtivd.oauth.web import Answer, WebFailure, check_url

LONGEST_WAIT: Final = 60.0  # seconds between two polls, where trouble has doubled them (RFC 8628 §3.5)

_PATIENCE: Final = 10.0  # seconds for the code: a person waits
_INTERVAL: Final = 5.0  # seconds, where the answer has none (§3.2); a server that says slow down means as many more
_SHORTEST: Final = 1.0  # seconds, whatever the server says
_LIFE: Final = 600.0  # seconds, where an answer has no `expires_in` though it must
_LONGEST_LIFE: Final = 86400.0
_USER_CODE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?")  # to be read from a screen
_LONGEST_URI: Final = 1024


class DeviceCode(Struct, frozen=True, kw_only=True):
    """One device authorization response (§3.2)."""

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str = ""  # with the code in it
    expires_in: float = _LIFE  # seconds
    interval: float = _INTERVAL  # seconds


class Waiting(Struct, frozen=True, kw_only=True):
    """Nobody has typed the code yet."""

    slower: bool = False  # the server was asked too often
    interval: float = 0.0  # as it says anew; 0: it does not


class Over(Struct, frozen=True, kw_only=True):
    """Nothing more comes of this code."""

    why: Literal["expired", "denied"]
    reason: str  # a plain sentence


Polled = outcomes.Outcome | Waiting | Over


async def ask_for_code(endpoint: Endpoint, client: Client, clock: Clock) -> DeviceCode:
    """Raises Unreachable where asking again may help, else Misconfigured or Refused."""
    return read_code(await endpoint.device_code(client, _PATIENCE), client, clock.wall())


def read_code(answer: Answer, client: Client, now: float) -> DeviceCode:
    """Pure. Raises as `ask_for_code` does."""
    if 200 <= answer.status < 300 and (code := _code(as_object(answer.body))):
        return code
    raise _no_code(answer, client, now)


async def poll(endpoint: Endpoint, client: Client, device_code: Secret, clock: Clock) -> Polled:
    """One question at the token endpoint. Raises nothing."""
    try:
        answer = await endpoint.device_token(client, device_code)
    except WebFailure as failure:
        return answers.sort_failure(failure, clock.wall())
    except Misconfigured as failure:
        return outcomes.Misconfigured(reason=failure.sentence)
    return sort(answer, client, clock.wall(), (device_code,))


def sort(answer: Answer, client: Client, now: float, secrets: tuple[Secret, ...] = ()) -> Polled:
    """§3.5's own errors, whatever their status (Google says pending with 428, GitHub with 200); else as any answer."""
    host = check_url(client.token_endpoint).netloc
    secrets = said(client, secrets)
    document = as_object(answer.body)
    error = None if document and document.get("access_token") else answers.oauth_error(answer, document, secrets)
    match client.quirks.error_names.get(error.code, error.code) if error else "":
        case "authorization_pending":
            return Waiting()
        case "slow_down":
            return Waiting(slower=True, interval=_seconds(document, "interval", 0.0))
        case "expired_token":
            return Over(why="expired", reason="the code expired before anybody entered it")
        case "access_denied":
            return Over(why="denied", reason=f"the provider said {error.words}" if error else "")
        case _:
            return answers.sort(answer, client.quirks, now, host=host, secrets=secrets)


def next_pause(before: float, polled: Waiting | outcomes.TryAgain, usual: float) -> tuple[float, float]:
    """Seconds until the next poll, and those that are usual from now on.

    Slowing down is for good (§3.5); trouble doubles the pause, and the first whole answer ends that.
    """
    if isinstance(polled, outcomes.TryAgain):
        return min(max(before * 2, polled.retry_after), max(LONGEST_WAIT, usual)), usual
    if polled.slower:
        usual = max(usual + _INTERVAL, polled.interval)
    return usual, usual


def _code(document: dict[str, object] | None) -> DeviceCode | None:
    """None where something is missing that a person or the polling needs."""
    if document is None:
        return None
    device_code, user_code = document.get("device_code"), document.get("user_code")
    # Google writes `verification_url`, as RFC 8628's drafts did.
    uri = _uri(document.get("verification_uri")) or _uri(document.get("verification_url"))
    if not isinstance(device_code, str) or not device_code or not isinstance(user_code, str) or not uri:
        return None
    if not _USER_CODE.fullmatch(user_code := user_code.strip()):
        return None
    complete = _uri(document.get("verification_uri_complete")) or _uri(document.get("verification_url_complete"))
    return DeviceCode(
        device_code=Secret(device_code),
        user_code=user_code,
        verification_uri=uri,
        verification_uri_complete=complete,
        expires_in=_seconds(document, "expires_in", _LIFE),
        interval=_seconds(document, "interval", _INTERVAL),
    )


def _uri(value: object) -> str:
    """An address that a person is sent to; empty for what is none."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_URI:
        return ""
    try:
        check_url(value)
    except Misconfigured:
        return ""
    return value


def _seconds(document: dict[str, object] | None, name: str, otherwise: float) -> float:
    value = document.get(name) if document else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return otherwise
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return otherwise
    return min(max(seconds, _SHORTEST), _LONGEST_LIFE) if math.isfinite(seconds) else otherwise


def _no_code(answer: Answer, client: Client, now: float) -> AixtivError:
    """Why there is none: as a token endpoint's answer is read, of which this one is a neighbour (§3.2)."""
    host = check_url(client.device_authorization_endpoint).netloc
    document = as_object(answer.body)
    if answer.status < 300 and not answers.oauth_error(answer, document):
        return Refused(f"{host} answered {answer.status} without a code that can be shown")
    sorted_ = answers.sort(answer, client.quirks, now, host=host, secrets=said(client, ()))
    match sorted_:
        case outcomes.Misconfigured(reason=reason):
            return Misconfigured(reason)
        case outcomes.TryAgain(reason=reason, retry_after=seconds) if answer.status in {408, 429} or (
            answer.status >= 500
        ):
            return Unreachable(reason, retry_after=seconds)
        case outcomes.Granted() | outcomes.Rotated():
            return Refused(f"{host} answered with a token instead of a code")
        case outcomes.NeedsSignIn(reason=reason) | outcomes.Refused(reason=reason) | outcomes.TryAgain(reason=reason):
            return Refused(reason)
