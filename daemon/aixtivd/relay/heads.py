"""What of a caller's headers goes on, what is put there instead of its credentials, and what comes back. Pure."""

import re
from collections.abc import Iterable
from typing import Final

from aixtiv_protocol.requests import Headers
from aixtivd.accounts.credential import Credential
from aixtivd.errors import BadRequest, Misconfigured
from aixtivd.relay.api import OWN, Api
from aixtivd.relay.call import AGENT, Call
from aixtivd.relay.names import folded, listed, names_of, remembered

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Not TRACE, which would send our credential back to the caller, and not CONNECT."""

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110 §7.6.1 and RFC 2616 §13.5.1; the names that a Connection header lists come on top."""

_STAYS: Final = HOP_BY_HOP | {
    "host",  # ours names the API
    OWN,
    "x-api-key",  # also where the API is none of Claude's: a ticket may stand in it
    "anthropic-api-key",  # the old command's
    "cookie",
    "origin",  # can draw a 401
    "referer",
    "expect",  # who took the body from the caller has told it to go on
    "content-length",  # put there anew, checked
    "x-http-method",  # these and those below: frameworks do what they say instead of the request line
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
}
"""Compared as `folded`."""

LENGTH: Final = "Content-Length"

WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_STAY_PREFIXES: Final = ("sec-fetch-", "x-aixtiv-")
_OURS: Final = ("access-control-", "x-aixtiv-")
"""Of an answer: what a browser, and what a caller of ours, takes for our own word."""

_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")  # no control characters, no lone surrogates
_SECRET: Final = re.compile(r"[!-~]+")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")


def check_head(call: Call) -> None:
    """Raises BadRequest for a head that two servers could read in two ways, or that is none."""
    if call.method not in METHODS:
        raise BadRequest(f"only {', '.join(sorted(METHODS))} are relayed")
    names = names_of(call.headers)
    if not names.sound:
        raise BadRequest("a header's name has characters that no name can have")
    if not _VALUE.fullmatch("".join([value for _, value in call.headers])):
        broken = next(name for name, value in call.headers if not _VALUE.fullmatch(value))
        raise BadRequest(f"the header {broken[:60]} has characters that no header can have")
    agent = call.caller.agent
    if not _VALUE.fullmatch(agent):
        raise BadRequest("the agent's id has characters that no header can have")
    if AGENT in names.folded:
        said = [value for (_, value), name in zip(call.headers, names.folded, strict=True) if name == AGENT]
        if any(value.strip() != agent for value in said):  # the call's is in the audit
            raise BadRequest(f"the header {AGENT} names another agent than the call does")


def length_of(call: Call) -> int | None:
    """Bytes of its body; None: nobody has said. Raises BadRequest where it was said twice, and differently."""
    places = names_of(call.headers).places
    said = {call.headers[at][1].strip() for at in places.get("content-length", ())}
    if not said:
        return call.body.length
    if len(said) > 1 or "transfer-encoding" in places or not _DIGITS.fullmatch(text := said.pop()):
        raise BadRequest("the body's length is ambiguous: one Content-Length, or Transfer-Encoding, is taken")
    if call.body.length not in {None, int(text)}:
        raise BadRequest(f"the body has {call.body.length} bytes, and its head says {text}")
    return int(text)


def upstream_headers(api: Api, call: Call, credential: Credential, length: int | None) -> list[tuple[str, str]]:
    """The caller's, in their order and writing, with its credentials taken out and exactly one put in."""
    with_key = credential.form == "api-key"
    headers = _going(call.headers, api, tokens=with_key)
    if api.token_flag:
        headers = without_flag(headers, api) if with_key else with_flag(headers, api)
    if call.caller.agent and AGENT not in names_of(headers).folded:
        headers.append(("X-Agent-ID", call.caller.agent))
    if length or (length == 0 and _says_none(call)):
        headers.append((LENGTH, str(length)))
    headers.append(_shown(api, credential))
    return headers


def _going(given: Headers, api: Api, *, tokens: bool) -> list[tuple[str, str]]:
    """What goes on. `tokens`: without what belongs to a token of the caller's own."""
    names = names_of(given)
    own = folded(api.key_header)
    stays = listed(given[at][1] for at in names.places.get("connection", ()))
    if tokens:
        stays |= _a_tokens(api, given)
    return [given[at] for at in _onward(names.folded) if (name := names.folded[at]) != own and name not in stays]


@remembered
def _onward(names: tuple[str, ...]) -> tuple[int, ...]:
    """Where names stand that may go on to an API."""
    return tuple(at for at, name in enumerate(names) if name not in _STAYS and not name.startswith(_STAY_PREFIXES))


def downstream_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The upstream's, to be handed on: all but hop-by-hop ones, and those that would be taken for ours.

    Bytes that are no UTF-8 cannot be carried.
    """
    headers = [(str(name, "utf-8", "replace"), str(value, "utf-8", "replace")) for name, value in raw]
    names = names_of(headers)
    goes = listed(headers[at][1] for at in names.places.get("connection", ()))
    if "transfer-encoding" in names.places:
        goes |= {"content-length"}  # does not count beside it (RFC 9112 §6.3)
    back = _back(names.folded)
    return tuple([headers[at] for at in back if names.folded[at] not in goes] if goes else [headers[at] for at in back])


@remembered
def _back(names: tuple[str, ...]) -> tuple[int, ...]:
    """Where names stand that may come back to a caller."""
    return tuple(at for at, name in enumerate(names) if name not in HOP_BY_HOP and not name.startswith(_OURS))


def with_flag(headers: list[tuple[str, str]], api: Api) -> list[tuple[str, str]]:
    """The flag in the list of flags, once: behind a bare comma in the last header there is, else in one of its own."""
    last = -1
    for at, (name, value) in enumerate(headers):
        if name.lower() == api.flag_header:
            if api.token_flag in _flags(value):
                return headers
            last = at
    if last < 0:
        return [*headers, (api.flag_header, api.token_flag)]
    name, value = headers[last]
    comma = "," if value.strip() and not value.rstrip().endswith(",") else ""
    return [*headers[:last], (name, f"{value.rstrip()}{comma}{api.token_flag}"), *headers[last + 1 :]]


def without_flag(headers: list[tuple[str, str]], api: Api) -> list[tuple[str, str]]:
    """That flag taken out and nothing else; a header that held only it goes."""
    kept = []
    for name, value in headers:
        if name.lower() != api.flag_header or api.token_flag not in _flags(value):
            kept.append((name, value))
        elif rest := ",".join(part for part in value.split(",") if part.strip() != api.token_flag).strip():
            kept.append((name, rest))
    return kept


def _says_none(call: Call) -> bool:
    """A request without a body says so where one is expected (RFC 9110 §8.6), or where its caller did."""
    return call.method in WITH_BODY or any(name.lower() == "content-length" for name, _ in call.headers)


def _a_tokens(api: Api, headers: Headers) -> frozenset[str]:
    """What the caller sent for a token of its own, told by the flag: a key does not know these."""
    flagged = any(api.token_flag in _flags(value) for name, value in headers if name.lower() == api.flag_header)
    return frozenset(map(folded, api.with_token)) if flagged else frozenset()


def _flags(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def _shown(api: Api, credential: Credential) -> tuple[str, str]:
    secret = credential.secret.reveal()
    if not _SECRET.fullmatch(secret):
        raise Misconfigured(f"the credential of {credential.account} has characters that no header can have")
    if credential.form == "api-key" and api.key_header != OWN:
        return api.key_header, secret
    return "Authorization", f"Bearer {secret}"
