"""Prometheus' text format 0.0.4, written: pure."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar

from msgspec import Struct

K = TypeVar("K", bound=str)

_NONE: Final[Mapping[str, str]] = {}

Sample = tuple[Mapping[str, str], float]
"""Labels, and a value."""


class Family(Struct, frozen=True):
    """One metric with all its samples. Counters end in `_total`; units are whole: seconds, bytes."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: tuple[Sample, ...]


def counter(name: str, help_: str, value: float) -> Family:
    return Family(name, "counter", help_, ((_NONE, value),))


def gauge(name: str, help_: str, value: float) -> Family:
    return Family(name, "gauge", help_, ((_NONE, value),))


def labelled(kind: Literal["counter", "gauge"], name: str, help_: str, label: str, values: Mapping[K, float]) -> Family:
    return Family(name, kind, help_, tuple(({label: one}, value) for one, value in values.items()))


def written(families: Iterable[Family]) -> str:
    """Those without samples are left out."""
    return "".join(line for family in families if family.samples for line in _lines(family))


def _lines(family: Family) -> Iterable[str]:
    yield f"# HELP {family.name} {family.help}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for labels, value in family.samples:
        pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield f"{family.name}{f'{{{pairs}}}' if pairs else ''} {_number(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    """Every digit that is known, and no point behind what is whole."""
    return str(int(value)) if value == int(value) else repr(value)
