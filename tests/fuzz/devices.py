"""What a server with the device grant answers: to who wants a code, and to who polls for it."""

import math
from typing import Final

import msgspec

from aixtiv_protocol.secret import Secret
from aixtivd.errors import AixtivError
from aixtivd.oauth import outcomes
from aixtivd.oauth.client import Client, Quirks
from aixtivd.oauth.device import DeviceCode, Over, Waiting, next_pause, read_code, sort
from aixtivd.oauth.web import Answer, check_url
from fuzz.target import Target

_CODE: Final = "the-device-code-that-was-sent"
_CLIENT: Final = Client(
    provider="p",
    client_id="me",
    token_endpoint="https://i.example/token",
    device_authorization_endpoint="https://i.example/code",
    quirks=Quirks(errors_in_200=True, error_names={"declined": "access_denied"}),
)


def device(data: bytes) -> None:
    """A digit for the status, and the body. What is shown is fit for a terminal, and no pause is none."""
    status = (200, 400, 403, 428, 429, 503)[data[0] % 6] if data else 200
    answer = Answer(status, {"content-type": "application/json"}, data[1:])
    why = ""
    try:
        _check_code(read_code(answer, _CLIENT, 1e9))
    except AixtivError as failure:
        why = failure.sentence
    assert why.isprintable(), why
    polled = sort(answer, _CLIENT, 1e9, (Secret(_CODE),))
    match polled:
        case Waiting() | outcomes.TryAgain():
            pause, usual = next_pause(5.0, polled, 5.0)
            assert math.isfinite(pause)
            assert pause >= 5.0
            assert usual >= 5.0
        case outcomes.Granted():
            assert status == 200
        case Over() | outcomes.Rotated() | outcomes.NeedsSignIn() | outcomes.Misconfigured() | outcomes.Refused():
            assert polled.reason.isprintable(), polled.reason
            assert _CODE not in polled.reason


def _check_code(code: DeviceCode) -> None:
    assert code.user_code.isascii()
    assert code.user_code.isprintable()
    assert 0 < len(code.user_code) <= 64
    for uri in filter(None, (code.verification_uri, code.verification_uri_complete)):
        check_url(uri)
    assert code.verification_uri
    assert 1 <= code.interval <= 86400
    assert 1 <= code.expires_in <= 86400


def _answers() -> list[bytes]:
    code = {
        "device_code": "dc",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://i.example/device",
        "verification_uri_complete": "https://i.example/device?user_code=WDJB-MJHT",
        "expires_in": 600,
        "interval": 5,
    }
    errors = ("authorization_pending", "slow_down", "expired_token", "access_denied", "declined", "invalid_grant")
    bodies = [
        code,
        {"access_token": "at", "token_type": "Bearer", "refresh_token": "rt"},
        *({"error": error, "error_description": f"no {_CODE}", "interval": 10} for error in errors),
    ]
    return [status + msgspec.json.encode(body) for status in (b"\0", b"\1", b"\3") for body in bodies]


TARGETS: Final = (
    Target(
        "device",
        device,
        _answers,
        words=(
            b'"error":',
            b'"interval":',
            b"slow_down",
            b"1e999",
            b"-1",
            b"NaN",
            b"\\u001b[31m",
            b"http://x",
            b"\xff",
        ),
    ),
)
