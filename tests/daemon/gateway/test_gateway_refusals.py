"""Each failure of aixtiv has a form that Claude Code and the SDKs show to a person, and none that they hide."""

import json
from collections.abc import Iterator

import pytest

from aixtivd import errors
from aixtivd.errors import AixtivError, Denied
from aixtivd.gateway.outgoing import head_of
from aixtivd.gateway.refusals import REASONS, refusal_of

PERSON = (403, "permission_error", True)
PASSES = (503, "api_error", False)
FORMS = {
    "AixtivError": (500, "api_error", False),
    "SocketFailed": (500, "api_error", False),
    "BadRequest": (400, "invalid_request_error", True),
    "TicketNeeded": (401, "authentication_error", True),
    "Busy": PASSES,
    "StoreFailed": PASSES,
    "Unreachable": PASSES,
    "WaitedTooLong": PASSES,
}


def kinds(kind: type[AixtivError] = AixtivError) -> Iterator[type[AixtivError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.__module__ == errors.__name__])
def test_every_failure_has_its_form(kind: type[AixtivError]) -> None:
    refusal = refusal_of(kind("what went wrong", hint="aixtiv mend it"))
    assert (refusal.status, refusal.kind, refusal.again) == FORMS.get(kind.__name__, PERSON)
    assert json.loads(refusal.body()) == {
        "type": "error",
        "error": {"type": refusal.kind, "message": "what went wrong; run: aixtiv mend it"},
    }
    assert refusal.status in REASONS
    assert dict(refusal.headers()).get("x-should-retry") == (None if refusal.again else "false")


def test_without_a_command_there_is_only_the_sentence() -> None:
    assert refusal_of(Denied("no", hint="")).sentence == "no"


@pytest.mark.parametrize("broken", ["a\r\nX: y", "a\nX: y", "a\0"])
def test_a_head_that_would_end_a_line_early_is_never_written(broken: str) -> None:
    for head in ((200, broken, ()), (200, "OK", (("x", broken),)), (200, "OK", ((broken, "x"),))):
        with pytest.raises(AixtivError):
            head_of(*head)
