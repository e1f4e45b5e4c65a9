"""One value of a JSON text changes, and not a byte of the rest."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv.setup import jsontext
from aixtiv.setup.jsontext import Broken

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
TREES = st.dictionaries(st.text(max_size=8), VALUES, max_size=5)
STYLES = st.sampled_from([(None, (",", ":")), (None, (", ", ": ")), (2, None), (4, None), ("\t", None)])


def written(tree: dict[str, Any], style: tuple[Any, Any], end: str) -> str:
    indent, separators = style
    return json.dumps(tree, indent=indent, separators=separators, ensure_ascii=False) + end


@given(TREES, STYLES, st.sampled_from(["", "\n"]), st.lists(st.text(max_size=5), min_size=1, max_size=3), VALUES)
def test_what_is_put_is_there_and_the_rest_is_as_it_was(
    tree: dict[str, Any], style: tuple[Any, Any], end: str, keys: list[str], value: Any
) -> None:
    at: Any = tree
    wanted = json.loads(json.dumps(tree))
    inner = wanted
    for key in keys[:-1]:
        at = at.get(key, {})
        if not isinstance(at, dict):
            return  # `test_an_object_is_not_made_of_what_is_none`
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = value
    assert jsontext.read(jsontext.put(written(tree, style, end), keys, value)) == wanted


@given(TREES, STYLES, st.sampled_from(["", "\n"]), VALUES)
def test_what_was_put_can_be_dropped_to_the_byte(
    tree: dict[str, Any], style: tuple[Any, Any], end: str, value: Any
) -> None:
    text = written(tree, style, end)
    key = "nobody's name for anything"
    assert jsontext.drop(jsontext.put(text, (key,), value), (key,)) == text
    assert jsontext.drop(jsontext.put(text, (key, "below"), value), (key, "below")) == text


SETTINGS = '{\n    "model": "opus",\n    "permissions": {"allow": ["Bash(ls:*)", "Read"]},\n    "limit": 1.50e2\n}\n'


def test_order_indent_numbers_and_lists_on_a_line_stay() -> None:
    text = jsontext.put(SETTINGS, ("apiKeyHelper",), "/bin/aixtiv claude-key")
    text = jsontext.put(text, ("env", "ANTHROPIC_BASE_URL"), "http://127.0.0.1:1")
    assert text == SETTINGS.replace(
        "1.50e2",
        '1.50e2,\n    "apiKeyHelper": "/bin/aixtiv claude-key",\n    "env": {\n'
        '        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"\n    }',
    )


def test_a_value_that_is_there_changes_in_its_place() -> None:
    text = '{"a": 1, "env": {"X": "old", "Y": "2"}}'
    assert jsontext.put(text, ("env", "X"), "new") == '{"a": 1, "env": {"X": "new", "Y": "2"}}'


def test_lines_that_end_as_on_windows_go_on_to() -> None:
    text = '{\r\n\t"a": 1\r\n}\r\n'
    assert jsontext.put(text, ("b", "c"), 2) == '{\r\n\t"a": 1,\r\n\t"b": {\r\n\t\t"c": 2\r\n\t}\r\n}\r\n'


@pytest.mark.parametrize(
    ("text", "keys", "left"),
    [
        ('{"a": 1, "b": 2, "c": 3}', ("a",), '{"b": 2, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', ("b",), '{"a": 1, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', ("c",), '{"a": 1, "b": 2}'),
        ('{"a": {"b": {"c": 1}}, "d": 2}', ("a", "b", "c"), '{"d": 2}'),
        ('{"a": {"b": 1, "e": 2}}', ("a", "b"), '{"a": {"e": 2}}'),
        ('{"a": 1}', ("b",), '{"a": 1}'),
        ('{"a": 1}', ("a", "b"), '{"a": 1}'),
    ],
)
def test_dropping_leaves_whole_objects_and_none_that_is_empty(text: str, keys: tuple[str, ...], left: str) -> None:
    assert jsontext.drop(text, keys) == left


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', "line 3: expecting ',' delimiter"),
        ("[]", "it is not an object"),
        ("", "line 1: expecting value"),
        ('{"a": 1, "a": 2}', "a key comes twice in one object"),
        ('{"a": {"b": 1, "b": 2}}', "a key comes twice in one object"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(Broken, match=words):
        jsontext.put(text, ("x",), 1)


def test_an_object_is_not_made_of_what_is_none() -> None:
    with pytest.raises(Broken, match="env is not an object"):
        jsontext.put('{"env": ["X=1"]}', ("env", "X"), "2")


def test_a_byte_order_mark_stays_where_it_is() -> None:
    text = '\ufeff{\n    "a": 1\n}\n'
    assert jsontext.put(text, ("b",), 2) == '\ufeff{\n    "a": 1,\n    "b": 2\n}\n'
    assert jsontext.drop(text, ("a",)) == "\ufeff{}\n"


@pytest.mark.parametrize("value", ["[" * 900 + "]" * 900, "[" * 50_000 + "]" * 50_000, "9" * 5000])
def test_what_no_walker_could_walk_is_broken(value: str) -> None:
    with pytest.raises(Broken, match=r"too deeply|longer"):
        jsontext.read(f'{{"a": {value}}}')
