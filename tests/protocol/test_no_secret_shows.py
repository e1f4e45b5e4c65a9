"""Every Struct of the three packages, filled with secrets: none shows one, and none holds one as plain text."""

import copy
import importlib
import io
import pickle
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Struct
from rich.console import Console
from rich.pretty import pretty_repr

import aixtiv
import aixtiv_protocol
import aixtivd
from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from protocol.shapes import REPLIES, fields, in_words, nested

TEXT = "hunter2-hunter2"

# Names that sound like a secret and are none.
HARMLESS = {
    "token_type",
    "token_endpoint",
    "client_secret_file",  # a path
    "user_code",  # of the device grant: it is shown to be typed, and worth nothing without a person's consent
    "key",  # vault config: the source's name
    "key_file",
    "key_source",
    "key_header",  # of an API: the header's name
    "token_flag",  # of an API: a word in a header
    "with_token",  # of an API: headers' names
    "keys",  # names in somebody's settings, and in an old file
    "key_reason",
    "code",  # of a failure
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "keyring_backend",
    "secret_file",  # a path
    "mytoken_url",
    "id_token",  # verified: the verdict on it
    "id_token_age",
}
# Bytes that are no secret: random names and salt, a key wrapped by another, a keyed fingerprint.
PUBLIC = {
    "Row.id",
    "Intent.id",
    "Grant.id",
    "Meta.store",
    "Meta.wrapped",
    "Entry.intent",
    "Occasion.store",
    "Passphrase.salt",
    "Begun.spending",
    "Stored.digest",  # of a ticket: a hash of 256 random bits
    "LeftTicket.digest",
    "Will.tickets",  # the same, packed
    "Trouble.id",
    "Told.id",
}
HEADERS = (("authorization", TEXT),)  # strings that may be secret wherever they are
SOUNDS_SECRET = re.compile(r"token|secret|passw|passphrase|pasted|verifier|assertion|(^|_)(key|code|nonce|bearer)")


@cache
def structs() -> list[type[Struct]]:
    found: set[type[Struct]] = set()
    for package in (aixtiv_protocol, aixtivd, aixtiv):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__"):
                continue
            members = vars(importlib.import_module(module.name)).values()
            found.update(cls for cls in members if isinstance(cls, type) and issubclass(cls, Struct))
    found = {cls for cls in found if cls.__module__.partition(".")[0].startswith("aixtiv")}
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))


def filled(hint: Any) -> Any:  # noqa: PLR0911 - a line for each type there is
    """A value of that type in which everything that may be secret is TEXT; None for what we cannot make."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return filled(inside[0])
    if hint is Secret:
        return Secret(TEXT)
    if hint in (bytes, bytearray):
        return TEXT.encode()
    if isinstance(hint, type) and issubclass(hint, Struct):
        return made(hint)
    if origin in (typing.Union, types.UnionType):
        values = [filled(one) for one in inside]
        return next((value for value in values if TEXT in revealed(value)), values[0])
    if origin in (tuple, list):
        return origin([filled(inside[0])]) if inside else origin()
    if origin is dict:
        return {"x": filled(inside[1])}
    plain = {str: "plain", int: 1, float: 1.0, bool: True}
    return plain.get(hint)


def made(cls: type[Struct]) -> Struct:
    hints = get_type_hints(cls, include_extras=True)
    return cls(**{name: _field(cls, name, hints[name]) for name in cls.__struct_fields__})


def _field(cls: type[Struct], name: str, hint: Any) -> Any:
    if f"{cls.__name__}.{name}" in PUBLIC:
        return b"public"
    return HEADERS if name == "headers" else filled(hint)


def revealed(value: Any) -> str:
    """All the text inside, the secret too."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bytes | bytearray):
        return value.decode()
    if isinstance(value, Struct):
        return " ".join(revealed(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, dict):
        return " ".join(revealed(one) for one in value.values())
    if isinstance(value, list | tuple):
        return " ".join(revealed(one) for one in value)
    return str(value)


def printed(value: object) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(value)
    return out.getvalue()


WAYS: dict[str, Callable[[Struct], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda struct: f"{struct} {struct!r} {struct!s}",
    "in a list": lambda struct: str([struct]),
    "rich repr": lambda struct: repr(list(struct.__rich_repr__())),
    "rich pretty": pretty_repr,
    "rich print": printed,
    "a copy": lambda struct: repr(copy.copy(struct)),
    "a changed copy": lambda struct: repr(msgspec.structs.replace(struct)),
}


def secret_structs() -> Iterator[type[Struct]]:
    return (cls for cls in structs() if TEXT in revealed(made(cls)))


def test_the_walk_finds_the_structs_that_hold_secrets() -> None:
    found = set(secret_structs())
    assert {requests.Callback, requests.Login, requests.ApiKey, requests.Unlock, replies.AccessToken} <= found
    assert any(cls.__module__.startswith("aixtivd.") for cls in found)


@pytest.mark.parametrize("way", WAYS)
def test_no_struct_shows_a_secret(way: str) -> None:
    shown = {cls for cls in secret_structs() if "hunter2" in WAYS[way](made(cls))}
    assert shown == set()


@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_no_struct_with_a_secret_in_it_can_be_pickled(protocol: int) -> None:
    with_secrets = [cls for cls in structs() if "Secret(" in repr(made(cls))]
    assert requests.Callback in with_secrets
    for cls in with_secrets:
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(made(cls), protocol)


def test_no_field_that_sounds_like_a_secret_is_plain_text() -> None:
    plain = {
        f"{cls.__module__}.{cls.__qualname__}.{name}"
        for cls in structs()
        for name, hint in get_type_hints(cls).items()
        if SOUNDS_SECRET.search(name) and name not in HARMLESS and _is_text(hint)
    }
    assert plain == set()  # bytes may be secret: the tests above look whether they show


def _is_text(hint: Any) -> bool:
    return hint is str or any(_is_text(one) for one in get_args(hint))


def test_no_reply_has_a_field_for_a_secret_but_the_tokens_and_the_ticket() -> None:
    secret = {
        (part, field.name)
        for message in REPLIES
        for part in nested(message)
        for field in fields(part)
        if "secret" in in_words(field.type)
    }
    assert secret == {
        (replies.AccessToken, "access_token"),
        (replies.HostToken, "access_token"),
        (replies.TicketMade, "ticket"),
    }


def test_no_struct_can_be_changed_after_it_was_made() -> None:
    assert [cls for cls in structs() if not cls.__struct_config__.frozen] == []


def test_what_is_excepted_here_still_exists() -> None:
    known = {f"{cls.__name__}.{name}" for cls in structs() for name in cls.__struct_fields__}
    assert known >= PUBLIC
    assert {name.partition(".")[2] for name in known} >= HARMLESS
