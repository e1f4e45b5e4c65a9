"""Right inputs made wrong: in their bytes, or in the tree that they write down, so that the bytes stay well-formed."""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from fuzz.target import Form, Target

_BYTES: Final = (0, 9, 10, 13, 32, 34, 37, 44, 46, 58, 61, 0x7F, 0x80, 0xC0, 0xFF)  # where parsers turn
_SCALARS: Final[tuple[object, ...]] = (
    *(None, True, False, 0, 1, -1, 255, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 0.5, -0.0, 1e308, 5e-324),
    *("", "0", "a", "\0", "\n", "\ufffd", "\N{RIGHT-TO-LEFT OVERRIDE}", "{}", "null", "a" * 300, "*", "/", "é"),
)
_BINARY: Final[tuple[object, ...]] = (
    b"",
    b"\0",
    b"\xff" * 16,
    float("nan"),
    float("inf"),
    -float("inf"),
)  # MessagePack
_DEEP: Final = 3000  # levels, once in a while: above what Python and msgspec follow

_READ: Final[dict[Form, Callable[[bytes], Any]]] = {"json": msgspec.json.decode, "msgpack": msgspec.msgpack.decode}
_WRITE: Final[dict[Form, Callable[[Any], bytes]]] = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}
_NESTED: Final[dict[Form, bytes]] = {"json": b"[", "msgpack": b"\x91"}


def edited(data: bytes, target: Target, random: Random) -> bytes:
    """One to four edits, of the tree where it has one."""
    for _ in range(random.randint(1, 4)):
        if target.form == "bytes" or random.random() < 0.4:
            data = _edited_bytes(data, target.words, random)
        else:
            data = edited_tree(data, target.form, random)
    return data[: target.longest]


def edited_tree(data: bytes, form: Form, random: Random) -> bytes:
    """As it is where it writes down no tree."""
    try:
        tree = _READ[form](data)
        data = _WRITE[form](_edited(tree, form, random))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError):
        return data
    if random.random() < 0.002:
        at = random.randint(0, len(data))
        return data[:at] + _NESTED[form] * _DEEP + data[at:]
    return data


def _edited(node: Any, form: Form, random: Random) -> Any:
    """Somewhere in it one thing is another."""
    if isinstance(node, dict) and node and random.random() < 0.8:
        return _edited_table(node, form, random)
    if isinstance(node, list) and node and random.random() < 0.8:
        return _edited_list(node, form, random)
    return _another(node, form, random)


def _edited_table(node: dict[Any, Any], form: Form, random: Random) -> dict[Any, Any]:
    name = random.choice(list(node))
    match random.randint(0, 5):
        case 0:
            return {key: value for key, value in node.items() if key != name}
        case 1:
            return node | {_other(form, random) if form == "msgpack" else "x": node[name]}
        case 2:
            return node | {name: node[random.choice(list(node))]}
        case _:
            return node | {name: _edited(node[name], form, random)}


def _edited_list(node: list[Any], form: Form, random: Random) -> list[Any]:
    at = random.randrange(len(node))
    match random.randint(0, 4):
        case 0:
            return node[:at] + node[at + 1 :]
        case 1:
            return node[:at] + node[at:] * random.choice((2, 3, 40))
        case _:
            return [*node[:at], _edited(node[at], form, random), *node[at + 1 :]]


def _another(node: Any, form: Form, random: Random) -> Any:
    if isinstance(node, str) and random.random() < 0.5:
        return _edited_bytes(node.encode(), (), random).decode(errors="replace")
    if isinstance(node, bytes) and random.random() < 0.5:
        return _edited_bytes(node, (), random)
    if isinstance(node, int) and random.random() < 0.3:
        return max(-(2**63), min(2**64 - 1, node + random.choice((1, -1, 7, 1000, -(10**6)))))
    other = _other(form, random)
    return random.choice((other, [other], {"a": other}, [], {}, [node, node]))


def _other(form: Form, random: Random) -> Any:
    return random.choice(_SCALARS + _BINARY if form == "msgpack" else _SCALARS)


def _edited_bytes(data: bytes, words: tuple[bytes, ...], random: Random) -> bytes:
    at = random.randint(0, len(data))
    end = min(len(data), at + random.choice((1, 1, 2, 4, 16, 64)))
    begin, before, behind = random.randint(0, len(data)), data[:at], data[end:]
    match random.randint(0, 6 if words else 5):
        case 0:
            there = bytes((random.choice(_BYTES),))
        case 1:
            there = random.randbytes(random.choice((1, 1, 2, 4))) + data[at:end]
        case 2:
            there = b""
        case 3:
            there = data[at:end] * random.choice((2, 2, 3, 50))
        case 4:
            there = behind = b""
        case 5:
            there = data[begin : begin + end - at]
        case _:
            there = random.choice(words) + data[at:end]
    return before + there + behind
