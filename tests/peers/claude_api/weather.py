"""How Claude's next answers behave, and the names under which a request's `model` can ask for the same."""

from typing import Final, Literal

import msgspec
from msgspec import Struct


class Weather(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens to one request that broke no rule. Without any field set it is answered as usual."""

    path: str = ""  # only a request of that path; "": any
    early: bool = False  # what is said or done below comes while the request's body is still on its way, unread
    hang: bool = False  # waits for `release`, before anything is said
    status: int = 0  # instead of the real answer
    headers: dict[str, str] = {}  # of that answer; or beside the real one's
    body: str = ""
    cut: Literal["", "silent", "head", "middle"] = ""  # the connection ends: without a word, after the head, amid it
    deltas: int = 0  # so many pieces of text in a stream, whatever the answer says
    pace: float = 0.0  # seconds between two events of a stream
    silence: int = -1  # after so many events a stream says nothing until `release`
    error: bool = False  # `event: error` in the middle of a stream that began with 200
    encoding: str = ""  # gzip, br, zstd or identity, whatever the caller accepts
    close: bool = False  # the connection is closed behind the answer, unannounced


def failure(status: int, kind: str, message: str, **headers: str) -> Weather:
    """An error in Claude's form."""
    body = msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}}).decode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Weather(status=status, headers={"content-type": "application/json"} | named, body=body)


def too_many(retry_after: str = "7") -> Weather:
    return failure(429, "rate_limit_error", "This request would exceed your rate limit", retry_after=retry_after)


def overloaded() -> Weather:
    return failure(529, "overloaded_error", "Overloaded", x_should_retry="true")


def broken() -> Weather:
    return failure(500, "api_error", "Internal server error")


def unauthenticated() -> Weather:
    return failure(401, "authentication_error", "OAuth token has been revoked. Please obtain a new token.")


def forbidden() -> Weather:
    return failure(403, "permission_error", "Your account does not have access to this")


def redirect(location: str = "https://elsewhere.test/v1/messages") -> Weather:
    return Weather(status=307, headers={"location": location})


def web_page() -> Weather:
    return Weather(status=200, headers={"content-type": "text/html"}, body="<html><h1>Welcome to Hotel Wi-Fi</h1>")


def too_large() -> Weather:
    """413, said before the body has arrived."""
    said = failure(413, "request_too_large", "Request exceeds the maximum allowed number of bytes.")
    return msgspec.structs.replace(said, early=True)


BY_MODEL: Final = {
    "fail-429": too_many(),
    "fail-529": overloaded(),
    "fail-500": broken(),
    "fail-401": unauthenticated(),
    "fail-401-once": unauthenticated(),  # the first request with that model, then none
    "fail-403": forbidden(),
    "fail-error-event": Weather(error=True),
    "fail-cut": Weather(cut="middle"),
    "fail-cut-head": Weather(cut="head"),
    "fail-closed": Weather(cut="silent"),
    "fail-idle-closed": Weather(close=True),
    "fail-silence": Weather(silence=4),
    "fail-hang": Weather(hang=True),
    "fail-redirect": redirect(),
    "fail-html": web_page(),
    "slow": Weather(pace=0.05),
    "long": Weather(deltas=1000),
    "br": Weather(encoding="br"),
    "zstd": Weather(encoding="zstd"),
    "identity": Weather(encoding="identity"),
}
