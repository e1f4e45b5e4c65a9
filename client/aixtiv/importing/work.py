"""Carrying it out: a key sealed, a refresh token taken over, a line commented out."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from aixtiv.client import Client
from aixtiv.failures import AixtivError
from aixtiv.importing import oidc_agent, profiles
from aixtiv.importing.find import Find, Place
from aixtiv.setup import files, jsontext
from aixtiv.show import short
from aixtiv_protocol.replies import SignedIn
from aixtiv_protocol.secret import Secret

_SPARE: Final = ".before-aixtiv"


class Change(Struct, frozen=True):
    """One file without what is sealed now."""

    path: Path
    before: str
    after: str
    spare: Path  # where it is kept as it was


def seal(client: Client, find: Find, endpoint: str) -> None:
    assert find.value is not None
    client.set_api_key(find.account, find.value.reveal().strip(), endpoint)


def adopt(client: Client, find: Find) -> SignedIn:
    """Raises AixtivError. What is encrypted is decrypted only now."""
    if find.source == "oidc-agent":
        find = oidc_agent.completed(find, oidc_agent.config(find.account, os.environ))
    assert find.value is not None
    token, settings = find.value.reveal(), find.settings
    try:
        return client.adopt(token, find.account, settings=settings, scopes=find.scopes)
    except AixtivError as failure:
        if failure.code != "no_provider" or find.source != "oidc-agent":
            raise
        # Nothing has been stored or sent yet. The issuer may really end in a slash, which oidc-agent puts behind all.
        settings = structs.replace(settings, issuer=f"{settings.issuer}/")
        try:
            return client.adopt(token, find.account, settings=settings, scopes=find.scopes)
        except AixtivError as second:
            raise (failure if second.code == "no_provider" else second) from None


def changes(sealed: list[Find]) -> Iterator[Change]:
    """Every file in which something of these still stands, as it would be without; as it is, where a person must."""
    values = {place: find.value for find in sealed if find.value for place in find.places}
    for path in dict.fromkeys(place.path for place in values):
        text = ""
        after = text
        with suppress(AixtivError, FileNotFoundError, jsontext.Broken):  # a link, no text, gone, changed meanwhile
            text = after = files.read(path)
            after = _without(path, text, [place for place in values if place.path == path], values)
        yield Change(path, text, after, _spare(path))


def _without(path: Path, text: str, places: list[Place], values: dict[Place, Secret]) -> str:
    if places[0].keys:
        for place in places:
            text = jsontext.drop(text, place.keys)
        return text
    return profiles.without(text, [place for place in places if profiles.removable(path, place, values[place])])


def write(change: Change) -> None:
    """The file as it was is kept first. Raises Unfit: above all for a link, which may lead into a repository."""
    if files.read(change.path) != change.before:
        raise files.Unfit(f"{short(str(change.path))} has been changed meanwhile", hint="aixtiv import")
    files.write(change.spare, change.before.encode(), mode=0o600)
    files.write(change.path, change.after.encode())


def _spare(path: Path) -> Path:
    """Never one that is there: each holds what no other file does."""
    spare, number = path.with_name(path.name + _SPARE), 1
    while spare.exists() or spare.is_symlink():
        number += 1
        spare = path.with_name(f"{path.name}{_SPARE}-{number}")
    return spare
