"""Keys and client settings in the files that a shell reads at its start: found, and commented out."""

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from aixtiv import environment, filed, settings
from aixtiv.importing.find import Accounts, Deed, Find, Place, Source
from aixtiv.show import short
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret

_KEYS: Final = ("ANTHROPIC_API_KEY", "DR_CLAUDE_API")
_CLIENT: Final = re.compile(
    r"([A-Z][A-Z0-9_]*)_OAUTH_(CLIENT_ID|CLIENT_SECRET|REDIRECT_URI|SCOPE|TOKEN_ENDPOINT|AUTH_ENDPOINT)"
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_BEGINS: Final = "sk-ant-"  # Anthropic's; what does not begin so is no key, or one for another place
_EXPORTING: Final = {"export", "declare", "typeset", "readonly", "local"}
_NAMED: Final = rf"({'|'.join(_KEYS)}|{_CLIENT.pattern})"
_WHOLE: Final = rf"(?<![A-Za-z0-9_$]){_NAMED}"
_HELD: Final = re.compile(rf"""{_WHOLE}=["']?[^\s"'$`;&|)]""")  # a value; what a shell computes begins with $ or `
_HERE_DOCUMENT: Final = re.compile(r"(?<!<)<<(?!<)-?\s*[\"'\\]?(\w+)")
_HELD_BY_FISH: Final = re.compile(rf"""\bset\b.*{_WHOLE}\s+["']?[^\s"'$(;&|)]""")


class Line(Struct, frozen=True):
    """One assignment."""

    place: Place
    value: Secret
    alone: bool = True  # the line does nothing else, so that it can be taken out


def profiles(environ: Mapping[str, str], home: Path) -> list[Path]:
    """Those that can be there, of every shell: who changed theirs left the other's files behind."""
    zsh = Path(environ.get("ZDOTDIR") or home)
    fish = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish/config.fish"
    shells = (".profile", ".bash_profile", ".bash_login", ".bashrc")
    return [*(home / name for name in shells), *(zsh / name for name in (".zshenv", ".zprofile", ".zshrc")), fish]


def look(environ: Mapping[str, str], home: Path, accounts: Accounts) -> tuple[list[Find], list[str]]:
    """What was found, and sentences about files that could not be read."""
    lines: list[Line] = []
    troubles: list[str] = []
    for path in profiles(environ, home):
        try:
            data = filed.contents(path)
        except FileNotFoundError:
            continue
        except filed.Misread as error:
            troubles.append(error.sentence)
            continue
        found = list(assignments(path, data))
        lines += found
        troubles += _not_understood(path, data, {line.place.line for line in found})
    return [*_keys(lines, accounts), *_clients(lines, environ, accounts)], troubles


def assignments(path: Path, data: bytes) -> Iterator[Line]:
    """Of the variables that are ours to know, those whose value stands there as it is."""
    text = data.decode(errors="surrogateescape")
    read = _fish if path.suffix == ".fish" else _posix
    lines = text.split("\n")  # a shell knows no other end of a line
    for number, line in enumerate(lines, 1):
        if not any(name in line for name in (*_KEYS, "_OAUTH_")):
            continue
        found = list(read(line.removesuffix("\r")))
        alone = len(found) == 1 and not _inside(lines[: number - 1])
        for name, value in found:
            known = name in _KEYS or _CLIENT.fullmatch(name)
            if known and value and not re.search(r"[$`\udc80-\udcff]", value):  # what a shell computes is not there yet
                yield Line(Place(path, number, name), Secret(value), alone)


def _inside(before: list[str]) -> bool:
    """Whether a line behind those may be part of something: a text for a program, one in quotes, a longer command."""
    waiting = ""
    for line in before:
        if waiting:
            waiting = "" if line.strip() == waiting else waiting
        elif begun := _HERE_DOCUMENT.search(line):
            waiting = begun[1]
    if waiting or (before[-1:] and before[-1].endswith("\\")):
        return True
    try:
        shlex.split("\n".join(before), comments=True)
    except ValueError:
        return True
    return False


def _ours(data: bytes) -> Iterator[tuple[int, str]]:
    """Number and text of each line that mentions such a variable, and is no comment."""
    for number, line in enumerate(data.decode(errors="surrogateescape").split("\n"), 1):
        if any(name in line for name in (*_KEYS, "_OAUTH_")) and not line.lstrip().startswith("#"):
            yield number, line


def _not_understood(path: Path, data: bytes, read: set[int]) -> Iterator[str]:
    """Lines in which a value seems to stand, and which do more than can be read here."""
    for number, line in _ours(data):
        if number in read:
            continue
        said = " ".join(_words(line)) or line  # without its comment, where the line can be cut into words
        held = _HELD.search(said) or (path.suffix == ".fish" and _HELD_BY_FISH.search(said))
        if mentioned := held or (_KEY_BEGINS in said and re.search(_NAMED, said)):
            yield f"{short(str(path))}:{number} mentions {mentioned[1]}, and is not understood: look there yourself"


def _posix(line: str) -> Iterator[tuple[str, str]]:
    """All assignments of a line that is nothing but those; none of any other. `export NAME` may follow one."""
    found: dict[str, str] = {}
    exporting = False
    for word in _words(line):
        name, equals, value = word.partition("=")
        if word in _EXPORTING or word == ";" or word in ("-x", "-gx"):
            exporting = word != ";" and (exporting or word in _EXPORTING)
            continue
        if not _NAME.fullmatch(name) or not (equals or exporting):
            return
        if equals or name not in found:
            found[name] = value
    yield from found.items()


def _fish(line: str) -> Iterator[tuple[str, str]]:
    """`set -gx NAME VALUE`."""
    words = _words(line)
    plain = [word for word in words[1:] if not word.startswith("-")]
    if words[:1] == ["set"] and len(plain) == 2 and _NAME.fullmatch(plain[0]):
        yield plain[0], plain[1]


def _words(line: str) -> list[str]:
    """Up to a comment; none where a quote ends on another line. `a#b` is one word, which shlex would cut in two."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[str] = []
    try:
        for word in lexer:
            if word.startswith("#"):
                break
            found.append(word)
    except ValueError:
        return []
    return found


def _keys(lines: list[Line], accounts: Accounts) -> Iterator[Find]:
    """One find for each key, wherever it stands; first the one that counts where both names are set."""
    places: dict[str, list[Place]] = {}
    for line in sorted(lines, key=lambda line: line.place.name != _KEYS[0]):
        value = line.value.reveal().strip()
        if line.place.name in _KEYS and "://" not in value and not value.startswith("aixtiv-ticket-"):
            places.setdefault(value, []).append(line.place)
    for value, at in places.items():
        yield key("environment", value, tuple(at), accounts)


def key(source: Source, value: str, places: tuple[Place, ...], accounts: Accounts) -> Find:
    """An API key of Anthropic's that lies about, under whatever name."""
    account = "anthropic"
    deed: Deed = "none"
    if sealed := accounts.keyed(account) and accounts.holds(account, value):
        note = f"is sealed as {account} already"
    elif not value.startswith(_KEY_BEGINS):
        note = f"does not begin with {_KEY_BEGINS}, as Anthropic's do; `aixtiv api-key set NAME` keeps it all the same"
    elif accounts.keyed(account):
        note = f"{account} has an API key already, sealed; `aixtiv api-key set {account}` replaces it"
    else:
        deed, note = "seal", f"can be sealed as {account}"
    return Find(source, "API key", places, deed=deed, account=account, note=note, value=Secret(value), sealed=sealed)


def _clients(lines: list[Line], environ: Mapping[str, str], accounts: Accounts) -> Iterator[Find]:
    """One for each provider: what a sign-in there is told, which goes on working where it lies."""
    of: dict[str, list[Line]] = {}
    for line in lines:
        if found := _CLIENT.fullmatch(line.place.name):
            of.setdefault(_provider(found[1]), []).append(line)
    for provider, found_lines in of.items():
        values = {line.place.name: line.value for line in found_lines}
        said = environment.said({name: value.reveal() for name, value in values.items()}, provider)
        if not said.settings.client_id:
            continue
        secret = " and secret" if said.settings.client_secret else ""
        places = tuple(line.place for line in found_lines)
        deed, note = accounts.sign_in(provider, _whole(said.settings, environ, provider), "reads and seals it")
        yield Find(
            "environment",
            f"client id{secret}",
            places,
            deed=deed,
            account=provider,
            note=note,
            environ=tuple(values.items()) if deed == "sign-in" else (),
        )


def _whole(said: ClientSettings, environ: Mapping[str, str], provider: str) -> ClientSettings:
    """With what the older command's files say beside it."""
    with suppress(filed.Misread):
        return environment.merged(said, settings.found_for(environ, provider, provider).settings)
    return said


def _provider(prefix: str) -> str:
    return "anthropic" if prefix == "CLAUDE" else prefix.lower().replace("_", "-")


def without(text: str, places: list[Place]) -> str:
    """The text of a profile with those lines commented out, and their values no longer in it.

    Each becomes a command that does nothing: an `if`, or a function, which held only that line must not be empty. No
    character in it means anything to a shell, in whatever the line stands.
    """
    lines = text.split("\n")
    for place in places:
        line = lines[place.line - 1]
        indent, end = line[: len(line) - len(line.lstrip())], "\r" * line.endswith("\r")
        nothing = "true" if place.path.suffix == ".fish" else ":"
        lines[place.line - 1] = f"{indent}{nothing} # {place.name}=… was here; aixtiv import has sealed it{end}"
    return "\n".join(lines)


def removable(path: Path, place: Place, value: Secret) -> bool:
    """Whether the line does nothing else, and is still the one that was found."""
    found = [line for line in assignments(path, filed.contents(path)) if line.place == place]
    return bool(found) and found[0].alone and found[0].value == value
