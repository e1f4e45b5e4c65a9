"""A Secret shows itself to nobody who does not say `reveal`."""

import copy
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable

import msgspec
import pytest
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from aixtiv_protocol.secret import Secret, decode_hook, encode_hook

TEXT = "hunter2-hunter2"

SHOWN: dict[str, Callable[[Secret], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret}",
    "format with !r": lambda secret: f"{secret!r}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - as logging does it
    "str.format": lambda secret: "{} {!s}".format(secret, secret),  # noqa: UP032 - as a template does it
    "ascii": ascii,
    "in a list": lambda secret: str([secret]),
    "in a dict": lambda secret: str({"a": secret}),
    "dir": lambda secret: str(dir(secret)),
    "rich": pretty_repr,
    "rich print": lambda secret: printed(secret),  # noqa: PLW0108 - it is defined below
    "a log record": lambda secret: logging.LogRecord("n", 20, "p", 1, "%s", (secret,), None).getMessage(),
    "an exception": lambda secret: "".join(traceback.format_exception(ValueError(secret))),
}

REFUSED: dict[str, Callable[[Secret], object]] = {
    "format with a width": lambda secret: f"{secret:>20}",
    "json": json.dumps,
    "msgspec without our hook": msgspec.json.encode,
    "msgspec as MessagePack without our hook": msgspec.msgpack.encode,
    "msgspec as builtins": msgspec.to_builtins,
    "joined": lambda secret: str.join(",", [secret]),  # type: ignore[list-item]  # the mistake that is to fail
    "added": lambda secret: "a" + secret,  # type: ignore[operator]  # the mistake that is to fail
    "a set": lambda secret: {secret},
    "vars": vars,
    "iteration": list,  # type: ignore[dict-item]  # the mistake that is to fail
}


def printed(value: object) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(value)
    return out.getvalue()


@pytest.mark.parametrize("way", SHOWN)
def test_no_way_of_showing_a_secret_shows_its_text(way: str) -> None:
    assert TEXT not in SHOWN[way](Secret(TEXT))


@pytest.mark.parametrize("way", REFUSED)
def test_what_would_have_to_show_the_text_fails_without_it(way: str) -> None:
    with pytest.raises(TypeError) as caught:
        REFUSED[way](Secret(TEXT))
    assert TEXT not in str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_never_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps([Secret(TEXT)], protocol)


def test_a_copy_is_the_same_object_and_no_second_text() -> None:
    secret = Secret(TEXT)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_a_traceback_with_local_variables_does_not_show_it() -> None:
    def fails(secret: Secret) -> None:
        held = [secret]
        raise RuntimeError(len(held))

    with pytest.raises(RuntimeError) as caught:
        fails(Secret(TEXT))
    assert TEXT not in printed(Traceback.from_exception(caught.type, caught.value, caught.tb, show_locals=True))


def test_two_secrets_are_equal_by_their_text_and_to_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("\udce9") == Secret("\udce9")
    assert Secret("\udce9") != Secret("e")


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("0")


def test_the_hooks_carry_the_text_both_ways() -> None:
    wire = msgspec.json.encode(Secret(TEXT), enc_hook=encode_hook)
    assert wire == b'"' + TEXT.encode() + b'"'
    assert msgspec.json.decode(wire, type=Secret, dec_hook=decode_hook) == Secret(TEXT)


@pytest.mark.parametrize("wire", [b"1", b"null", b'["hunter2"]', b'{"hunter2":1}', b"true"])
def test_what_is_no_text_is_no_secret_and_is_not_quoted(wire: bytes) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(wire, type=Secret, dec_hook=decode_hook)
    assert "hunter2" not in str(caught.value)


def test_the_hooks_know_no_other_type() -> None:
    with pytest.raises(NotImplementedError, match="complex is not part"):
        encode_hook(1j)
    with pytest.raises(NotImplementedError, match="complex is not part"):
        decode_hook(complex, "1")
