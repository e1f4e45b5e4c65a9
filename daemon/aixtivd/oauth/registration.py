"""The client that registers itself (RFC 7591), and whether the one from before will still do."""

import re
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from aixtiv_protocol.secret import Secret
from aixtivd import log
from aixtivd.errors import AixtivError, NoProvider, Refused, SignInFailed, Unreachable
from aixtivd.oauth import answers
from aixtivd.oauth.challenge import fit_scopes
from aixtivd.oauth.client import Client
from aixtivd.oauth.discovery import Metadata
from aixtivd.oauth.document import as_object
from aixtivd.oauth.web import Answer, Web

_PATIENCE: Final = 15.0  # seconds: a person waits
_METHODS: Final[dict[str, Literal["none", "basic", "post"]]] = {
    "none": "none",
    "client_secret_basic": "basic",
    "client_secret_post": "post",
}
_DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
_ID: Final = re.compile(r"[\x20-\x7e]{1,4096}")  # RFC 6749 §A.1
_LATEST: Final = 2**53
_OWN_NAME: Final = "aixtiv"


class _Given(Struct, frozen=True, kw_only=True):
    """What an answer gives (§3.2.1), as far as it can be used."""

    client_id: str
    client_secret: Secret | None
    client_auth: Literal["none", "basic", "post"]
    scopes: tuple[str, ...] | None  # None: not said
    ends_at: int


async def registered(web: Web, client: Client, redirect_uri: str) -> Client:
    """`client`, with the id that its server gives it for exactly that redirect URI; as it is, where it has one.

    Raises Unreachable where asking again may help, Refused or NoProvider (with what to type) where not.
    """
    if client.client_id or not client.registration_endpoint:
        return client
    wanted = _request(client, redirect_uri)
    answer = await _post(web, client, wanted)
    if "scope" in wanted and _error(answer) == "invalid_client_metadata":
        # A server may know only scopes of its own, none of the resource's (oidc-provider does).
        del wanted["scope"]
        answer = await _post(web, client, wanted)
    given = _read(answer, client)
    log.info("registered", provider=client.provider, host=_host(client))
    asked = client.registered_scopes if "scope" in wanted else ()
    return msgspec.structs.replace(
        client,
        client_id=given.client_id,
        client_secret=given.client_secret,
        client_auth=given.client_auth,
        redirect_uri=redirect_uri,
        registered_scopes=asked if given.scopes is None else given.scopes,
        secret_ends_at=given.ends_at,
    )


def kept(new: Client, old: Client | None) -> Client:
    """`new` as the client that `old` is, where the same server has that one and it may do what `new` is for. Pure.

    A server never hears of a client of another one, nor gets its secret.
    """
    if old is None or not old.client_id or (new.issuer, new.token_endpoint) != (old.issuer, old.token_endpoint):
        return new
    if new.redirect_uri not in ("", old.redirect_uri):
        return new
    if old.registered_scopes and not set(new.scopes) <= {"offline_access", *old.registered_scopes}:
        return new
    return msgspec.structs.replace(
        new,
        client_id=old.client_id,
        client_secret=old.client_secret,
        client_auth=old.client_auth,
        redirect_uri=old.redirect_uri,
        registration_endpoint=old.registration_endpoint,
        registered_scopes=old.registered_scopes,
        secret_ends_at=old.secret_ends_at,
    )


def forgotten(client: Client) -> Client | None:
    """The same before it was registered; None for one that was not, or that its person has set up."""
    if not client.registration_endpoint or not client.client_id:
        return None
    return msgspec.structs.replace(
        client,
        client_id="",
        client_secret=None,
        redirect_uri="",
        registered_scopes=tuple(dict.fromkeys((*client.registered_scopes, *client.scopes))),
        secret_ends_at=0,
    )


def way_to_prove(found: Metadata | None, host: str) -> Literal["none", "basic", "post"]:
    """How a client that is about to register will prove itself: by nothing, unless that is not taken.

    A secret that lies on a person's machine proves little (RFC 8252 §8.5). Raises NoProvider.
    """
    takes = found.token_endpoint_auth_methods_supported if found else None
    if takes is None or "none" in takes:
        return "none"
    for name in ("client_secret_basic", "client_secret_post"):
        if name in takes:
            return _METHODS[name]
    raise NoProvider(f"{host} takes no client that proves itself in a way aixtiv knows")


def _request(client: Client, redirect_uri: str) -> dict[str, object]:
    grants = ["authorization_code", "refresh_token"]
    if client.device_authorization_endpoint:
        grants.append(_DEVICE)
    methods = {ours: name for name, ours in _METHODS.items()}
    wanted: dict[str, object] = {
        "client_name": _OWN_NAME,
        "application_type": "native",  # OpenID Registration §2: else http on loopback is refused by many
        "redirect_uris": [redirect_uri],
        "grant_types": grants,
        "response_types": ["code"],
        "token_endpoint_auth_method": methods[client.client_auth],
    }
    if client.registered_scopes:
        wanted["scope"] = " ".join(client.registered_scopes)
    return wanted


async def _post(web: Web, client: Client, wanted: dict[str, object]) -> Answer:
    headers = {"content-type": "application/json"}
    body = msgspec.json.encode(wanted)
    return await web.send("POST", client.registration_endpoint, headers=headers, body=body, timeout=_PATIENCE)


def _error(answer: Answer) -> str:
    error = answers.oauth_error(answer, as_object(answer.body)) if answer.status == 400 else None
    return error.code if error else ""


def _read(answer: Answer, client: Client) -> _Given:
    document = as_object(answer.body) if answer.status in {200, 201} else None
    if document is None or "client_id" not in document:
        raise _no_client(answer, client)
    host = _host(client)
    client_id, secret = document["client_id"], document.get("client_secret") or None
    if not isinstance(client_id, str) or not _ID.fullmatch(client_id):
        raise Refused(f"{host} registered a client under an id that cannot be one")
    if secret is not None and (not isinstance(secret, str) or not _ID.fullmatch(secret)):
        raise Refused(f"{host} gave the client that it registered a secret that cannot be one")
    auth = _auth(document.get("token_endpoint_auth_method"), client, host)
    if auth != "none" and secret is None:
        raise Refused(f"{host} wants a secret of the client that it registered, and gave it none")
    scope = document.get("scope")
    return _Given(
        client_id=client_id,
        client_secret=Secret(secret) if secret and auth != "none" else None,
        client_auth=auth,
        scopes=fit_scopes(scope.split()) if isinstance(scope, str) else None,
        ends_at=_end(document.get("client_secret_expires_at")) if auth != "none" else 0,
    )


def _auth(said: object, client: Client, host: str) -> Literal["none", "basic", "post"]:
    """What the server says it made of what was asked for; where it says nothing, that."""
    if said is None:
        return client.client_auth
    if not isinstance(said, str) or said not in _METHODS:
        raise Refused(f"{host} wants the client that it registered to prove itself in a way aixtiv does not know")
    return _METHODS[said]


def _end(said: object) -> int:
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 < said < _LATEST else 0


def _no_client(answer: Answer, client: Client) -> AixtivError:
    host = _host(client)
    if answer.status in {408, 429} or answer.status >= 500:
        return Unreachable(f"{host} answered {answer.status} to the registration of a client")
    if error := answers.oauth_error(answer, as_object(answer.body)):
        return Refused(f"{host} registers no client for aixtiv: {error.words}")
    if 300 <= answer.status < 400:
        return Refused(f"the registration of a client at {host} leads elsewhere, which is not followed")
    if answer.status < 300:
        return SignInFailed(f"{host} answered the registration of a client with something that is none")
    return NoProvider(
        f"{host} registers no clients by itself ({answer.status}): the id of one that was made by hand is needed",
        options="--client-id ID",
    )


def _host(client: Client) -> str:
    return urlsplit(client.registration_endpoint).netloc
