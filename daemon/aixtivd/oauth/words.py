"""A provider's own words, made fit to show: short, printable, and without the secrets it was sent."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from aixtiv_protocol.secret import Secret

SHOWN: Final = 300
"""Characters of them."""


def shown(text: str) -> str:
    """Fit for a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:SHOWN]


def in_words(code: str, description: object, uri: object, secrets: Iterable[Secret] = ()) -> str:
    """`code: description (uri)`: printable, at most 300 characters, without any of `secrets`."""
    words = code
    if isinstance(description, str) and description.strip():
        words += f": {description.strip()}"
    if isinstance(uri, str) and uri.strip():
        words += f" ({uri.strip()})"
    for secret in secrets:
        if secret:
            words = _without(words, secret.reveal())
    return shown(words).rstrip(" .")


def _without(words: str, text: str) -> str:
    """The longest form first: a shorter one may be a part of it. Cut out before the words are shortened, not after."""
    for form in sorted(set(_forms(text)), key=len, reverse=True):
        words = words.replace(form, "…")
    return words


def _forms(text: str) -> Iterator[str]:
    """As it is, and as a server quotes the request it was sent: from the form, the JSON body, the Basic header."""
    octets = text.encode(errors="surrogatepass")
    yield text
    for written in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield written
        yield written.replace("/", "\\/")  # PHP's way
    for encoded in (quote(octets), quote(octets, safe=""), quote_plus(octets)):
        yield encoded
        yield re.sub("%..", lambda escape: escape[0].lower(), encoded)
    for packed in (base64.b64encode(octets), base64.urlsafe_b64encode(octets)):
        yield packed.decode()
        yield packed.decode().rstrip("=")
