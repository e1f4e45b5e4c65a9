"""docs/config.md and the config's Structs name the same keys, types and defaults."""

import re
from pathlib import Path

import pytest
from msgspec import Struct, inspect

from aixtivd.config import (
    AccessConfig,
    ApiConfig,
    AuditConfig,
    ClaudeConfig,
    Config,
    HooksConfig,
    Network,
    NoticesConfig,
    ProviderConfig,
    RefreshConfig,
    Rule,
    ServiceConfig,
    VaultConfig,
    Who,
    load,
)
from protocol.shapes import default_in_words, fields, in_words
from protocol.specification import rows

TEXT = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    _, found, rest = TEXT.partition(f"\n## {heading}\n")
    assert found
    return rest.partition("\n## ")[0]


def described(table: type[Struct]) -> list[list[str]]:
    def is_table(field: inspect.Field) -> bool:
        kind = field.type.value_type if isinstance(field.type, inspect.DictType) else field.type
        kind = kind.item_type if isinstance(kind, inspect.VarTupleType) else kind
        return isinstance(kind, inspect.StructType)

    return [
        [field.encode_name, in_words(field.type).replace("object of", "table of"), default_in_words(field)]
        for field in fields(table)
        if not is_table(field)
    ]


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("The top of the file", Config),
        ("[network]", Network),
        ("[vault]", VaultConfig),
        ("[refresh]", RefreshConfig),
        ("[provider.NAME]", ProviderConfig),
        ("[claude]", ClaudeConfig),
        ("[api.NAME]", ApiConfig),
        ("[access]", AccessConfig),
        ("[[rule]]", Rule),
        ("[audit]", AuditConfig),
        ("[service]", ServiceConfig),
        ("[notices]", NoticesConfig),
        ("[hooks]", HooksConfig),
    ],
)
def test_every_key_is_documented_and_every_documented_key_exists(heading: str, table: type[Struct]) -> None:
    assert [row[:3] for row in rows(section(heading), "key")] == described(table)


def test_every_table_of_the_config_is_documented() -> None:
    tables = [_heading(field) for field in fields(Config)]
    assert re.findall(r"^## (\[.*\])$", TEXT, re.MULTILINE) == [table for table in tables if table]


def _heading(field: inspect.Field) -> str:
    """Empty: it is no table."""
    match field.type:
        case inspect.StructType():
            return f"[{field.encode_name}]"
        case inspect.DictType():
            return f"[{field.encode_name}.NAME]"
        case inspect.VarTupleType(item_type=inspect.StructType()):
            return f"[[{field.encode_name}]]"
        case _:
            return ""


def test_every_key_of_who_is_documented() -> None:
    assert [row[:3] for row in rows(section("[[rule]]"), "of `who`")] == described(Who)


def test_every_key_source_is_explained() -> None:
    (key,) = (field.type for field in fields(VaultConfig) if field.name == "key")
    assert isinstance(key, inspect.LiteralType)
    explained = re.findall(r'^\| `"(\w+)"` \|', section("[vault]"), re.MULTILINE)
    assert {*explained, "auto"} == set(key.values)


def test_the_example_is_a_config(folder: Path) -> None:
    example, another, rule = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    path = folder / "config.toml"
    path.write_text(example)
    config = load(path)
    assert config.provider["work"].client_id == "aixtiv-cli"
    assert config.network.no_proxy == ("id.example.org", ".internal")
    path.write_text(another)
    assert load(path).api["github"].origin == "https://api.github.com"
    path.write_text(rule)
    assert load(path).rule[0].who.unit == "backup.service"
