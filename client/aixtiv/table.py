"""A JSON object that a person wrote, read key by key: any spelling, `${VARIABLE}`, and complaints that name the key."""

import re
import shlex
from collections.abc import Mapping
from typing import Final

from aixtiv.failures import AixtivError

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


class Misread(AixtivError):
    """one of the old command's files is wrong"""

    code = "bad_settings"


class Unset(Misread):
    """a file names a variable that is not set"""


class Table:
    """A JSON object of a file, by keys in any spelling. Every complaint names file and key, and quotes no value."""

    def __init__(self, file: str, tree: object, environ: Mapping[str, str], at: str = "") -> None:
        self._file = file
        self._at = at
        self._environ = environ
        if not isinstance(tree, dict):
            raise self.wrong("", "expected an object")
        self._tree: dict[str, object] = tree

    def wrong(self, key: str, sentence: str) -> Misread:
        at = ".".join(part for part in (self._at, key) if part)
        return Misread(f"{self._file}: {at}: {sentence}" if at else f"{self._file}: {sentence}", hint=edit(self._file))

    def keys(self) -> list[str]:
        return list(self._tree)

    def find(self, *spellings: str) -> tuple[str, object]:
        """The key as it stands there, and its value; ("", None) where there is none, or it is null."""
        found = [(key, value) for key, value in self._tree.items() if plain(key) in spellings and value is not None]
        if len(found) > 1:
            raise self.wrong(found[1][0], f"says the same as {found[0][0]}; leave one out")
        return found[0] if found else ("", None)

    def table(self, *spellings: str) -> "Table | None":
        key, value = self.find(*spellings)
        return self.below(key, value) if key else None

    def below(self, key: str, value: object) -> "Table":
        return Table(self._file, value, self._environ, ".".join(part for part in (self._at, key) if part))

    def text(self, *spellings: str) -> str:
        key, value = self.find(*spellings)
        if not key:
            return ""
        if not isinstance(value, str):
            raise self.wrong(key, "expected a string")
        return self._expanded(key, value).strip()

    def url(self, *spellings: str) -> str:
        text = self.text(*spellings)
        if text and not text.lower().startswith(("https://", "http://")):
            raise self.wrong(self.find(*spellings)[0], "expected an address that begins with https://")
        return text

    def words(self, *spellings: str) -> tuple[str, ...]:
        """A list of strings, or one string with blanks or commas between them."""
        key, value = self.find(*spellings)
        if isinstance(value, list):
            if not all(isinstance(word, str) for word in value):
                raise self.wrong(key, "expected a list of strings")
            return tuple(word for each in value for word in self._expanded(key, each).split())
        return tuple(self.text(*spellings).replace(",", " ").split())

    def _expanded(self, key: str, value: str) -> str:
        def variable(match: re.Match[str]) -> str:
            if match[1] not in self._environ:
                raise Unset(self.wrong(key, f"${{{match[1]}}} is not set").sentence, hint=f"export {match[1]}=…")
            return self._environ[match[1]]

        return _VARIABLE.sub(variable, value)


def edit(path: str) -> str:
    return f"$EDITOR {shlex.quote(path)}"


def plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")
