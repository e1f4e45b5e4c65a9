"""aixtiv's own failures as callers of Claude's API expect them: a status, Claude's JSON, and whether to try again."""

from typing import Final, Literal, assert_never

import msgspec
from msgspec import Struct

from aixtiv_protocol.replies import Code
from aixtivd.errors import AixtivError, TicketNeeded

Kind = Literal["invalid_request_error", "authentication_error", "permission_error", "request_too_large", "api_error"]
"""Claude's own words for errors, as far as we use them."""

REASONS: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Refusal(Struct, frozen=True):
    status: int
    kind: Kind
    sentence: str
    again: bool = True  # False: SDKs and Claude Code are told not to try by themselves, and show the sentence at once

    def body(self) -> bytes:
        return msgspec.json.encode({"type": "error", "error": {"type": self.kind, "message": self.sentence}})

    def headers(self) -> tuple[tuple[str, str], ...]:
        told = () if self.again else (("x-should-retry", "false"),)
        return (("content-type", "application/json"), ("content-length", str(len(self.body()))), *told)


UNREADABLE: Final = Refusal(400, "invalid_request_error", "that is no HTTP/1.1 request, or not a plain one")


def refusal_of(error: AixtivError) -> Refusal:
    """The forms that Claude Code shows to people: 403 where a person must act, 503 for what may pass (claude.md)."""
    sentence = f"{error.sentence}; run: {error.hint}" if error.hint else error.sentence
    if isinstance(error, TicketNeeded):
        return Refusal(401, "authentication_error", sentence)  # so that an apiKeyHelper is run again
    status, kind = _shape(error.code)
    return Refusal(status, kind, sentence, again=status < 500)


def _shape(code: Code) -> tuple[int, Kind]:
    match code:
        case "bad_request":
            return 400, "invalid_request_error"
        case "too_large":
            return 413, "request_too_large"
        case "busy" | "store_failed" | "unreachable" | "timeout":
            return 503, "api_error"
        case "internal":
            return 500, "api_error"
        case (
            "denied"
            | "locked"
            | "key_failed"
            | "no_account"
            | "no_provider"
            | "sign_in_needed"
            | "sign_in_failed"
            | "scope_missing"
            | "refused"
            | "misconfigured"
            | "bad_config"
        ):
            return 403, "permission_error"
        case _:
            assert_never(code)
