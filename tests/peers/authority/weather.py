"""How the next token answers behave: what a test or a process puts into the queue, one piece for one request."""

from typing import Any, Literal

from msgspec import Struct

TOO_LARGE = 2 * 1024 * 1024  # bytes


class Weather(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens to one token request. Without any field set it is answered as usual."""

    grant: str = ""  # only a request of that type; "": any
    hang: bool = False  # waits for `release`, before anything else
    spend: bool = False  # the request does its work, whatever is said about it: the new pair exists, and nobody has it
    status: int = 0  # instead of the real answer
    headers: dict[str, str] = {}
    body: str = ""
    padding: int = 0  # spaces behind the body
    cut: Literal["", "silent", "head", "body"] = (
        ""  # the connection ends: without a word, after the head, amid the body
    )
    after: float = 0.5  # the share of the body that comes before a cut amid it
    first: tuple[str, ...] = ()  # fields that come before all others
    without: tuple[str, ...] = ()  # fields that the real answer lacks
    put: dict[str, Any] = {}  # fields that the real answer has beside or instead of its own

    @property
    def replaces(self) -> bool:
        return self.status != 0


_JSON = {"Content-Type": "application/json"}


def too_many(retry_after: str = "7") -> Weather:
    return Weather(status=429, headers={"Retry-After": retry_after}, body="slow down")


def unavailable(retry_after: str = "") -> Weather:
    return Weather(status=503, headers={"Retry-After": retry_after} if retry_after else {}, body="later")


def web_page(status: int = 200) -> Weather:
    return Weather(status=status, headers={"Content-Type": "text/html"}, body="<html><h1>Welcome to Hotel Wi-Fi</h1>")


def says(error: str, status: int = 400, description: str = "") -> Weather:
    words = f', "error_description": "{description}"' if description else ""
    return Weather(status=status, headers=_JSON, body=f'{{"error": "{error}"{words}}}')


def lost() -> Weather:
    """The answer to a rotation that the server has made never arrives."""
    return Weather(spend=True, cut="silent")


def cut(where: Literal["silent", "head", "body"] = "silent") -> Weather:
    return Weather(cut=where)


def hanging(*, spend: bool = False) -> Weather:
    return Weather(hang=True, spend=spend)


def large() -> Weather:
    """A good answer with two megabytes behind it."""
    return Weather(padding=TOO_LARGE)


def no_lifetime() -> Weather:
    return Weather(without=("expires_in",))


def no_new_refresh_token() -> Weather:
    return Weather(without=("refresh_token",))
