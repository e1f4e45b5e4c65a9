"""The older command's files: settings go on working where they lie; keys and tokens in them are found."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import structs

from aixtiv import filed, settings
from aixtiv.importing.find import Accounts, Find, Place
from aixtiv.importing.profiles import key
from aixtiv.show import short
from aixtiv.table import plain
from aixtiv_protocol.names import is_secret
from aixtiv_protocol.secret import Secret

_KEYS: Final = {"apikey", "anthropicapikey", "claudeapikey", "xapikey", "key"}
_REFRESH: Final = {"refreshtoken"}
_SECRETS: Final = {"clientsecret"}
_ACCESS: Final = {"accesstoken", "token", "idtoken", "authtoken"}


def look(environ: Mapping[str, str], accounts: Accounts) -> tuple[list[Find], list[str]]:
    """What was found, and sentences about files that could not be read."""
    finds: list[Find] = []
    troubles: list[str] = []
    seen: set[str] = set()
    for folder in settings.folders(environ):
        for name in settings.NAMES:
            path = folder / name
            try:
                tree = filed.tree(path, forbidden=filed.EVERYBODY | filed.GROUP)
            except FileNotFoundError:
                continue
            except filed.Misread as error:
                troubles.append(error.sentence)
                continue
            finds += _in_file(path, tree, environ, accounts)
            if name not in seen:  # the first one counts
                finds += _clients(path, name, tree, environ, accounts)
            seen.add(name)
    return finds, troubles


def _in_file(path: Path, tree: object, environ: Mapping[str, str], accounts: Accounts) -> Iterator[Find]:
    for keys, value in _texts(tree):
        name = plain(keys[-1])
        place = Place(path, 0, ".".join(keys), keys)
        if not value or "${" in value:  # a variable is looked for where it is set
            continue
        if name in _REFRESH:
            yield _refresh_token(place, keys, value, environ, accounts)
        elif name in _KEYS or value.startswith("sk-ant-api"):
            if is_secret(value):
                yield key("old", value, (place,), accounts)
        elif name in _SECRETS:
            note = "is read there by `aixtiv login`, and sealed with the sign-in"
            yield Find("old", "client secret", (place,), note=note)
        elif name in _ACCESS or is_secret(value):
            note = "is good for a while only: a sign-in gives one that is renewed"
            yield Find("old", "access token", (place,), note=note)


def _refresh_token(
    place: Place, keys: tuple[str, ...], value: str, environ: Mapping[str, str], accounts: Accounts
) -> Find:
    """Of the provider, or server, whose object it stands in."""
    account = next((part for part in reversed(keys[:-1]) if plain(part) not in _AROUND), "anthropic")
    account = "anthropic" if plain(account) == "claude" else account
    where = place.path.name
    if accounts.signed_in(account):
        return Find("old", "refresh token", (place,), account=account, note=f"{account} is signed in already")
    try:
        found = settings.found_for(environ, account, account)
    except filed.Misread as error:
        return Find("old", "refresh token", (place,), account=account, note=_unread(error, environ))
    if not found.settings.client_id:
        note = f"cannot be used without the client id that it was issued to, which {where} does not say"
        return Find("old", "refresh token", (place,), account=account, note=note)
    return Find(
        "old",
        "refresh token",
        (place,),
        deed="adopt",
        account=account,
        note=f"can be taken over as {account}",
        value=Secret(value),
        settings=found.settings,
        scopes=found.scopes,
    )


_AROUND: Final = {"providers", "servers", "auth", "tokens", "oauth", "oauth2", "api", "credentials"}


def _unread(error: filed.Misread, environ: Mapping[str, str]) -> str:
    """What is known without a file that is wrong would be half of the truth."""
    files = [folder / name for folder in settings.folders(environ) for name in settings.NAMES]
    file = next((short(str(path)) for path in files if error.sentence.startswith(str(path))), "that file")
    return f"not looked at while {file} cannot be read"


def _clients(path: Path, name: str, tree: object, environ: Mapping[str, str], accounts: Accounts) -> Iterator[Find]:
    """Who can be signed in to with what the file says."""
    around = {settings.OAUTH: "providers", settings.DESKTOP: "servers"}.get(name)
    if around is None or not isinstance(tree, dict):
        return
    table = next(
        (below for key_, below in tree.items() if plain(key_) == around), tree if around == "providers" else {}
    )
    for each, below in table.items() if isinstance(table, dict) else ():
        account = "anthropic" if plain(each) == "claude" else each
        find = Find("old", "client id", (Place(path, 0, each),), account=account)
        try:
            found = settings.found_for(environ, account, account).settings
        except filed.Misread as error:
            if any(plain(keys[-1]) == "clientid" for keys, _ in _texts(below)) and not is_secret(account):
                yield structs.replace(find, note=_unread(error, environ))
            continue
        if found.client_id and not is_secret(account):
            deed, note = accounts.sign_in(account, found, "reads it there")
            yield structs.replace(find, deed=deed, note=note)


def _texts(tree: object, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text below keys; `filed` bounds how deep that is. What stands in lists has no key of its own."""
    for name, value in tree.items() if isinstance(tree, dict) else ():
        if isinstance(value, str):
            yield (*at, name), value.strip()
        else:
            yield from _texts(value, (*at, name))
