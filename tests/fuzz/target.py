"""What is fuzzed: a parser under a name, with inputs that are right, so that wrong ones get past its first byte."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Form = Literal["bytes", "json", "msgpack"]
"""How an input is taken apart to be made wrong in its middle."""


class Target(Struct, frozen=True):
    """`run` returns for whatever it is given: the exceptions that are a parser's answer are named in it."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    form: Form = "bytes"
    longest: int = 2048  # bytes
    words: tuple[bytes, ...] = ()  # worth trying anywhere
