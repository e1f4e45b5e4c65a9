"""A JSON object that a person wrote, read key by key: any spelling, `${VARIABLE}`, and complaints that name the key."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from aixtiv.filed import Misread, edit
from aixtiv_protocol.names import is_secret

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")

# Of a variable's name: what it holds is for its own server only, and not for whatever address a file names.
_SECRETS: Final = (
    *("TOKEN", "KEY", "SECRET", "PASS", "PWD", "AUTH", "CREDENTIAL", "TICKET"),
    *("COOKIE", "SESSION", "BEARER", "JWT", "PRIVATE", "DSN", "WEBHOOK"),
)
_SHORT_SECRETS: Final = frozenset({"PW", "PAT", "OTP", "SAS", "PIN", "CRED", "CREDS", "ACCESS", "UNSEAL", "SEED"})
"""The same, as whole words between underscores: `PAT` stands in `PATH`, too."""

_ADDRESSES: Final = re.compile(r"\w+_OAUTH_(TOKEN_ENDPOINT|AUTH_ENDPOINT|REDIRECT_URI|SCOPE)")  # of ours, and no secret

_SHORT: Final = 3  # letters: a value of so few is taken out only where it is a word


class Unset(Misread):
    """a file names a variable that is not set"""


class Text(Struct, frozen=True):
    """One text of a file: where it stands, how it is written there, and what that means in this environment."""

    file: str = ""
    keys: tuple[str, ...] = ()  # down to it, in the file's own spelling
    written: str = ""
    meant: str = ""
    variables: tuple[tuple[str, str], ...] = ()  # that were expanded, with their values

    def __repr__(self) -> str:
        return f"Text({self.file}, {'.'.join(self.keys)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show every field
        return [("file", self.file), ("keys", self.keys)]

    def unsaid(self, sentence: str) -> str:
        """A sentence that may quote what is meant here, as the file would put it: no variable's value is repeated."""
        names = {piece.lower(): name for name, value in self.variables for piece in _pieces(value)}
        if not names:
            return sentence
        longest_first = "|".join(map(_pattern, sorted(names, key=len, reverse=True)))
        return re.sub(longest_first, lambda found: f"${{{names[found[0].lower()]}}}", sentence, flags=re.IGNORECASE)


def _pattern(piece: str) -> str:
    return rf"(?<!\w){re.escape(piece)}(?!\w)" if len(piece) <= _SHORT else re.escape(piece)


def _pieces(value: str) -> set[str]:
    """A value, and of an address what others make of it before they quote it."""
    pieces = {value.strip(), value.strip().rstrip("/")}
    if "://" in value:
        try:
            parts = urlsplit(value.strip())
            pieces |= {f"{parts.scheme}://{parts.netloc}", parts.netloc, parts.hostname or ""}
        except ValueError:
            pass
    return {piece for piece in pieces if piece}


class Table:
    """A JSON object of a file, by keys in any spelling. Every complaint names file and key, and quotes no value."""

    def __init__(self, file: str, tree: object, environ: Mapping[str, str], at: tuple[str, ...] = ()) -> None:
        self.file = file
        self._at = at
        self._environ = environ
        if not isinstance(tree, dict):
            raise self.wrong("", "expected an object")
        self.tree: dict[str, object] = tree

    def wrong(self, key: str, sentence: str) -> Misread:
        at = ".".join(part for part in (*self._at, key) if part)
        return Misread(f"{self.file}: {at}: {sentence}" if at else f"{self.file}: {sentence}", hint=edit(self.file))

    def keys(self) -> list[str]:
        return list(self.tree)

    def find(self, *spellings: str) -> tuple[str, object]:
        """The key as it stands there, and its value; ("", None) where there is none, or it is null."""
        found = [(key, value) for key, value in self.tree.items() if plain(key) in spellings and value is not None]
        if len(found) > 1:
            raise self.wrong(found[1][0], f"says the same as {found[0][0]}; leave one out")
        return found[0] if found else ("", None)

    def table(self, *spellings: str) -> "Table | None":
        key, value = self.find(*spellings)
        return self.below(key, value) if key else None

    def below(self, key: str, value: object) -> "Table":
        return Table(self.file, value, self._environ, (*self._at, key))

    def secret(self, *spellings: str) -> str:
        """A text that may be one, or belong to one: any variable may stand in it, since it goes to no other server."""
        return self._text(spellings, any_variable=True).meant

    def text(self, *spellings: str) -> Text:
        """Empty where there is none, but for the file."""
        return self._text(spellings, any_variable=False)

    def _text(self, spellings: tuple[str, ...], *, any_variable: bool) -> Text:
        key, value = self.find(*spellings)
        if not key:
            return Text(self.file)
        if not isinstance(value, str):
            raise self.wrong(key, "expected a string")
        variables = self._variables(key, value, any_variable=any_variable)
        return Text(self.file, (*self._at, key), value.strip(), _expanded(value, variables), tuple(variables.items()))

    def url(self, *spellings: str) -> Text:
        text = self.text(*spellings)
        if text.meant and not text.meant.lower().startswith(("https://", "http://")):
            raise self.wrong(text.keys[-1], "expected an address that begins with https://")
        return text

    def words(self, *spellings: str) -> tuple[str, ...]:
        """A list of strings, or one string with blanks or commas between them."""
        key, value = self.find(*spellings)
        if isinstance(value, list):
            if not all(isinstance(word, str) for word in value):
                raise self.wrong(key, "expected a list of strings")
            return tuple(
                word
                for each in value
                for word in _expanded(each, self._variables(key, each, any_variable=False)).split()
            )
        return tuple(self.text(*spellings).meant.replace(",", " ").split())

    def _variables(self, key: str, value: str, *, any_variable: bool) -> dict[str, str]:
        """Those that stand in a value, with theirs."""
        names = dict.fromkeys(_VARIABLE.findall(value))
        for name in names:
            if not any_variable and _is_secret(name, self._environ.get(name, "")):
                raise self.wrong(
                    key, f"${{{name}}} may be a secret, and is not put in here: name it otherwise if it is none"
                )
            if name not in self._environ:
                raise Unset(self.wrong(key, f"${{{name}}} is not set").sentence, hint=f"export {name}=…")
        return {name: self._environ[name] for name in names}


def _expanded(value: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: variables[found[1]], value).strip()


def _is_secret(name: str, value: str) -> bool:
    """By its name, or by what it holds: a key's beginning, an address with a password in it."""
    upper = name.upper()
    named = any(word in upper for word in _SECRETS) or not _SHORT_SECRETS.isdisjoint(upper.split("_"))
    if named and not _ADDRESSES.fullmatch(name):
        return True
    return "@" in value or is_secret(value.strip())


def plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")
