"""man(7), as far as the pages need it, in a form that groff and mandoc read alike."""

import re
import textwrap
from typing import Final

_WIDTH: Final = 79  # columns of a line of the source
_ESCAPED: Final = {"\\": "\\e", "~": "\\(ti", "^": "\\(ha", "`": "\\(ga", "'": "\\(aq"}


class Page:
    """Line by line; `text` gives it."""

    def __init__(self, name: str, section: int, version: str, date: str, title: str) -> None:
        head = f'.TH {name.upper()} {section} "{date}" "aixtiv {version}" "{title}"'
        self._lines = ['.\\" Written by `make man` from what --help and docs/ say: change it there.', head]

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def section(self, title: str) -> None:
        self._lines.append(f".SH {_plain(title if '[' in title else title.upper())}")

    def below(self, title: str) -> None:
        self._lines.append(f".SS {styled(title)}")

    def paragraph(self, text: str) -> None:
        """Not directly below a heading, where it would be one too many."""
        if not self._lines[-1].startswith((".SH", ".SS")):
            self._lines.append(".PP")
        self.prose(text)

    def prose(self, text: str) -> None:
        for sentence in _sentences(text):
            wrapped = textwrap.wrap(styled(sentence), _WIDTH, break_long_words=False, break_on_hyphens=False)
            self._lines += [_guarded(line) for line in wrapped]

    def item(self, lead: str, text: str) -> None:
        self._lines += [".TP", _guarded(styled(lead))]
        self.prose(text)

    def literal(self, lines: list[str]) -> None:
        if not self._lines[-1].startswith((".SH", ".SS")):
            self._lines.append(".PP")
        self._lines += [".RS 4", ".EX", *(_guarded(_plain(line)) if line else ".sp" for line in lines), ".EE", ".RE"]


def styled(text: str) -> str:
    """Of Markdown: code and bold in bold, links as their text."""
    text = re.sub(r"\[([^\]]+)\]\((?:[^()]|\([^()]*\))*\)", r"\1", text)
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text)
    return "".join(_bold(part) if part[:1] in {"`", "*"} and len(part) > 2 else _prose(part) for part in parts)


def _bold(marked: str) -> str:
    width = 2 if marked.startswith("**") else 1
    return f"\\fB{_plain(marked[width:-width])}\\fR"


def _prose(text: str) -> str:
    """A dash within a word may be a hyphen; one of an option has to stay what can be typed."""
    words = re.split(r"(\s+)", text)
    return "".join(
        _plain(word, dash="-" if re.search(r"\w-\w", word) and "--" not in word else "\\-") for word in words
    )


def _plain(text: str, *, dash: str = "\\-") -> str:
    text = "".join(dash if letter == "-" else _ESCAPED.get(letter, letter) for letter in text)
    return "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in text)


def _guarded(line: str) -> str:
    """A line that begins as a request does, or would be one."""
    return f"\\&{line}" if line[:1] in {".", "'"} else line


def _sentences(text: str) -> list[str]:
    """One a line, as roff wants them."""
    return [line for line in re.split(r"(?<=[.:;])\s+(?=\S)", " ".join(text.split())) if line]
