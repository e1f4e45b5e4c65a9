"""The messages as data: every Struct of the wire, its fields in the specification's words, and any value of it."""

from typing import Any, Final, get_args

import msgspec
from hypothesis import strategies as st
from msgspec import Struct, inspect

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret, encode_hook

REQUESTS: Final[tuple[type[Struct], ...]] = get_args(requests.Request)
REPLIES: Final[tuple[type[Struct], ...]] = get_args(replies.Reply)

_INT64 = 2**63


def tag(message: type[Struct]) -> str:
    said = message.__struct_config__.tag
    assert isinstance(said, str)
    return said


def fields(message: type[Struct]) -> list[inspect.Field]:
    info = inspect.type_info(message)
    assert isinstance(info, inspect.StructType)
    return list(info.fields)


def nested(message: type[Struct]) -> set[type[Struct]]:
    """The Struct itself and every Struct inside its fields."""

    def walk(kind: inspect.Type) -> set[type[Struct]]:
        match kind:
            case inspect.StructType(cls=cls, fields=inner):
                return {cls}.union(*(walk(field.type) for field in inner))
            case inspect.UnionType(types=types):
                return set().union(*(walk(one) for one in types))
            case inspect.VarTupleType(item_type=item):
                return walk(item)
            case inspect.TupleType(item_types=items):
                return set().union(*(walk(one) for one in items))
            case _:
                return set()

    return walk(inspect.type_info(message))


def in_words(kind: inspect.Type) -> str:  # noqa: C901, PLR0911, PLR0912 - a line for each type there is
    """A field's type as the specification's tables write it."""
    match kind:
        case inspect.StrType():
            return "string"
        case inspect.BytesType(max_length=most):
            return f"bytes, at most {most}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=ge, le=le):
            return "integer" if le is None else f"integer, {ge} to {le}"
        case inspect.FloatType(ge=ge, le=le):
            return "number" if le is None else f"number, {ge} to {le}"
        case inspect.CustomType(cls=cls) if cls is Secret:
            return "secret string"
        case inspect.LiteralType(values=values):
            return "one of " + " ".join(msgspec.json.encode(value).decode() for value in values)
        case inspect.StructType(cls=cls):
            return "settings" if cls is requests.ClientSettings else tag(cls)
        case inspect.TupleType(item_types=items):
            return f"[{', '.join(in_words(one) for one in items)}]"
        case inspect.VarTupleType(item_type=item):
            return f"list of {in_words(item)}"
        case inspect.DictType(key_type=key, value_type=value):
            return f"object of {in_words(key)} to {in_words(value)}"
        case inspect.UnionType(types=(one, inspect.NoneType())):
            return f"{in_words(one)} or null"
        case inspect.UnionType(types=types):  # of Structs, told apart by their tags
            return " or ".join(in_words(one) for one in types if one != inspect.NoneType()) + " or null"
        case _:
            raise AssertionError(kind)


def default_in_words(field: inspect.Field) -> str:
    if field.required:
        return "required"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return msgspec.json.encode(default, enc_hook=encode_hook).decode()


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911, PLR0912 - a line for each type there is
    match kind:
        case inspect.StrType():
            return st.text(max_size=40)
        case inspect.BytesType(max_length=most):
            return st.binary(max_size=40) | st.just(b"\xff" * (most or 0))
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.IntType(ge=ge, le=le):
            return st.integers(-_INT64 if ge is None else ge, 2 * _INT64 - 1 if le is None else le)
        case inspect.FloatType(ge=ge, le=le):
            return st.floats(ge, le, allow_nan=False, allow_infinity=False)
        case inspect.CustomType(cls=cls) if cls is Secret:
            return st.text(max_size=40).map(Secret)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.StructType(cls=cls):
            return _messages(cls)
        case inspect.TupleType(item_types=items):
            return st.tuples(*(_values(one) for one in items))
        case inspect.VarTupleType(item_type=item):
            return st.lists(_values(item), max_size=3).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_values(key), _values(value), max_size=3)
        case inspect.UnionType(types=types):
            return st.one_of([_values(one) for one in types])
        case _:
            raise AssertionError(kind)


def _messages(message: type[Struct]) -> st.SearchStrategy[Struct]:
    needed = {field.name: _values(field.type) for field in fields(message) if field.required}
    free = {field.name: _values(field.type) for field in fields(message) if not field.required}
    return st.fixed_dictionaries(needed, optional=free).map(lambda chosen: message(**chosen))


def any_request() -> st.SearchStrategy[Any]:
    return st.one_of([_messages(message) for message in REQUESTS])


def any_reply() -> st.SearchStrategy[Any]:
    return st.one_of([_messages(message) for message in REPLIES])
