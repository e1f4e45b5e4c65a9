"""The server's HTTP: metadata, the pages a person walks through, the token endpoint and its neighbours.

With Claude's quirks there is no metadata, no revocation and no introspection; the exchange is a form that must hold
`state`; a refresh is JSON of exactly three fields with its beta header; the redirect is http://localhost:PORT/callback.
"""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_plus, urlencode, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

from peers.authority import device, pages, registration
from peers.authority.federation import JWT_BEARER, identified, lone
from peers.authority.grants import Asked, Given, Grants, Refusal, Settings, claims

SCOPES: Final = (
    "openid",
    "email",
    "profile",
    "offline_access",
    "api:read",
    "api:write",
    "code:generate",
    "code:execute",
)
NOT_FOR_CLIENTS: Final = frozenset({"api:write"})
CLIENTS: Final = {"native": "none", "basic": "basic", "post": "post"}
BETA: Final = "oauth-2025-04-20"


class Endpoints:
    """`issuer` is set once the port is known."""

    def __init__(self, settings: Settings, grants: Grants) -> None:
        self.issuer = ""
        self.secret = f"s p&c%ial+{secrets.token_urlsafe(12)}"  # wants encoding in every place it is written to
        self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "peer"}, auto_kid=False)
        self._settings = settings
        self._grants = grants
        self.devices = device.Devices(settings, grants)
        self.clients = registration.Clients(settings, grants, CLIENTS)
        self._open: dict[str, Asked] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self.metadata),
            web.get("/.well-known/oauth-authorization-server", self.metadata),
            web.get("/jwks", self.jwks),
            web.get("/authorize", self.authorize),
            web.post("/interaction/{id}/login", self.login),
            web.post("/interaction/{id}/consent", self.consent),
            web.get("/interaction/{id}/abort", self.abort),
            web.post("/register", self.register),
            web.post("/revoke", self.revoke),
            web.post("/introspect", self.introspect),
            web.get("/userinfo", self.userinfo),
            web.post("/device_authorization", self.device_authorization),
            web.get("/device", self.device_page),
            web.post("/device", self.device_answered),
            web.get("/device/{code}/abort", self.device_refused),
        ]

    # What it says of itself

    async def metadata(self, _: web.Request) -> web.Response:
        if self._settings.claude:
            raise web.HTTPNotFound
        names = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "revocation_endpoint": "revoke",
            "introspection_endpoint": "introspect",
            "userinfo_endpoint": "userinfo",
            "jwks_uri": "jwks",
        } | ({"device_authorization_endpoint": "device_authorization"} if self._settings.device else {})
        if self._settings.registration:
            names["registration_endpoint"] = "register"
        return web.json_response(
            {name: f"{self.issuer}/{path}" for name, path in names.items()}
            | {
                "issuer": self.issuer,
                "scopes_supported": [scope for scope in SCOPES if self._settings.offline or scope != "offline_access"],
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", JWT_BEARER],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": self._settings.auth_methods,
                "client_id_metadata_document_supported": self._settings.client_id_metadata,
                "id_token_signing_alg_values_supported": ["RS256"],
                "authorization_response_iss_parameter_supported": self._settings.iss,
            }
        )

    async def jwks(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    # What a person walks through

    async def authorize(self, request: web.Request) -> web.Response:
        query = request.query
        client_id, redirect_uri = query.get("client_id", ""), query.get("redirect_uri", "")
        if not self.clients.knows(client_id):
            return _page(pages.failed("invalid_client", "client is invalid"), 400)
        if not self.clients.may_redirect(client_id, redirect_uri, usual=self._may_redirect(redirect_uri)):
            return _page(pages.failed("invalid_redirect_uri", "redirect_uri is not registered"), 400)
        asked = Asked(
            client_id=client_id,
            redirect_uri=redirect_uri,
            scopes=tuple(query.get("scope", "").split()),
            state=query.get("state", ""),
            nonce=query.get("nonce", ""),
            challenge=query.get("code_challenge", ""),
            resource=query.get("resource", ""),
        )
        if error := _wrong(asked, query, known=client_id in CLIENTS):
            return self._redirect(asked, error=error[0], error_description=error[1])
        name = secrets.token_urlsafe(12)
        self._open[name] = asked
        answer = _page(pages.login(f"/interaction/{name}/login", f"/interaction/{name}/abort"))
        answer.set_cookie("interaction", name, httponly=True, samesite="Lax")
        return answer

    def _may_redirect(self, uri: str) -> bool:
        """RFC 8252 §7.3: loopback, any port."""
        parts = urlsplit(uri)
        hosts = {"localhost"} if self._settings.claude else {"localhost", "127.0.0.1", "::1"}
        return parts.scheme == "http" and parts.hostname in hosts and parts.path in {"/callback", "/oauth/callback"}

    async def login(self, request: web.Request) -> web.Response:
        name, asked = self._interaction(request)
        form = await request.post()
        asked.subject = str(form.get("login", ""))
        if not asked.subject or not form.get("password"):
            return _page(pages.login(f"/interaction/{name}/login", f"/interaction/{name}/abort"), 400)
        consent, abort = f"/interaction/{name}/consent", f"/interaction/{name}/abort"
        return _page(pages.consent(consent, abort, asked.client_id, asked.scopes))

    async def consent(self, request: web.Request) -> web.Response:
        name, asked = self._interaction(request)
        if not asked.subject:
            raise web.HTTPBadRequest
        del self._open[name]
        return self._redirect(asked, code=self._grants.code(asked))

    async def abort(self, request: web.Request) -> web.Response:
        name, asked = self._interaction(request)
        del self._open[name]
        return self._redirect(asked, error="access_denied", error_description="End-User aborted interaction")

    def _interaction(self, request: web.Request) -> tuple[str, Asked]:
        name = request.match_info["id"]
        if name not in self._open or request.cookies.get("interaction") != name:
            raise web.HTTPBadRequest(text="interaction session not found")
        return name, self._open[name]

    def _redirect(self, asked: Asked, **said: str) -> web.Response:
        query = said | {"state": asked.state} | ({"iss": self.issuer} if self._settings.iss else {})
        return web.Response(status=303, headers={"Location": f"{asked.redirect_uri}?{urlencode(query)}"})

    async def device_page(self, request: web.Request) -> web.Response:
        return _page(device.page(request.query.get("user_code", "")))

    async def device_answered(self, request: web.Request) -> web.Response:
        form = await request.post()
        code, who = str(form.get("user_code", "")), str(form.get("login", ""))
        if not (who and form.get("password") and self.devices.answer(code, who)):
            return _page(device.page(code, "There is no such code."), 400)
        return _page(device.done("You can go back to your device."))

    async def device_refused(self, request: web.Request) -> web.Response:
        self.devices.answer(request.match_info["code"], "nobody", yes=False)
        return _page(device.done("It was refused."))

    # What a client asks

    async def device_authorization(self, request: web.Request) -> web.Response:
        if not self._settings.device:
            raise web.HTTPNotFound
        said = await spoken(request)
        client_id = self.client(request, said)
        scopes = tuple(said.get("scope", "").split())
        asked = Asked(client_id=client_id, redirect_uri="", scopes=scopes, state="", nonce="", challenge="")
        asked.resource = said.get("resource", "")
        return web.json_response(self.devices.begin(self.issuer, asked))

    async def token(self, request: web.Request, said: Mapping[str, str]) -> dict[str, Any]:
        """The answer's fields. Raises Refusal."""
        if said.get("grant_type") == JWT_BEARER:
            return self._answer(self._grants.give_alone(await identified(request, said, self._settings)))
        client_id = self.client(request, said)
        claude = self._settings.claude
        match said.get("grant_type"):
            case "authorization_code":
                if claude and (request.content_type != _FORM or not said.get("state")):
                    raise Refusal("invalid_request", "this endpoint wants a form with state")
                given = self._grants.exchange(
                    said.get("code", ""),
                    client_id,
                    said.get("redirect_uri", ""),
                    said.get("code_verifier", ""),
                    said.get("state", "") if claude else None,
                )
                _check_target(given, said)
                return self._answer(given, with_id_token=True)
            case "refresh_token":
                if claude:
                    _check_claude_refresh(request, said)
                given = self._grants.refresh(said.get("refresh_token", ""), client_id)
                _check_target(given, said)
                return self._answer(given, with_id_token=self._settings.id_token_on_refresh)
            case device.GRANT:
                given = self.devices.redeem(said.get("device_code", ""), client_id)
                _check_target(given, said)
                return self._answer(given, with_id_token=True)
            case "client_credentials":
                if self.clients.way(client_id) == "none":
                    raise Refusal("unauthorized_client", "a public client has no credentials")
                return self._answer(self._grants.give_alone(lone(client_id, client_id, said.get("scope", ""))))
            case _:
                raise Refusal("unsupported_grant_type")

    def _answer(self, given: Given, *, with_id_token: bool = False) -> dict[str, Any]:
        asked = given.family.asked
        answer: dict[str, Any] = {"access_token": given.access, "token_type": "Bearer", "scope": " ".join(asked.scopes)}
        if self._settings.expires_in:
            answer["expires_in"] = int(self._settings.access_ttl)
        if given.refresh:
            answer["refresh_token"] = given.refresh
        if with_id_token and "openid" in asked.scopes:
            answer["id_token"] = self.id_token(asked)
        return answer

    def id_token(self, asked: Asked) -> str:
        now = int(time.time())
        until = now + int(self._settings.id_token_ttl)
        said = claims(asked) | {"iss": self.issuer, "aud": asked.client_id, "iat": now, "exp": until}
        if asked.nonce:
            said["nonce"] = asked.nonce
        token = jwt.encode({"alg": "RS256", "kid": "peer"}, said, self.key)
        self._grants.issued.append(token)
        return token

    async def register(self, request: web.Request) -> web.Response:
        if not self._settings.registration:
            raise web.HTTPNotFound
        return web.json_response(self.clients.register(json.loads(await request.text())), status=201)

    async def revoke(self, request: web.Request) -> web.Response:
        said = await spoken(request)
        self.client(request, said)
        self._grants.revoke(said.get("token", ""))
        return web.Response()

    async def introspect(self, request: web.Request) -> web.Response:
        said = await spoken(request)
        client_id = self.client(request, said)
        family = self._grants.active(said.get("token", ""))
        if family is None or family.asked.client_id != client_id:
            return web.json_response({"active": False})
        return web.json_response({"active": True, "client_id": client_id, "scope": " ".join(family.asked.scopes)})

    async def userinfo(self, request: web.Request) -> web.Response:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        family = self._grants.active(token)
        if kind.lower() != "bearer" or family is None:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response(claims(family.asked))

    def client(self, request: web.Request, said: Mapping[str, str]) -> str:
        """Who that client is, once it has proved it in the one way that is its own. Raises Refusal."""
        kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            pair = base64.b64decode(credentials).decode().partition(":")
            client_id, secret, way = unquote_plus(pair[0]), unquote_plus(pair[2]), "basic"
        else:
            client_id, secret = said.get("client_id", ""), said.get("client_secret", "")
            way = "post" if "client_secret" in said else "none"
        expected = self.clients.secret(client_id) or self.secret
        proved = way == "none" or secrets.compare_digest(secret.encode(), expected.encode())
        if self.clients.way(client_id) != way or not proved:
            raise Refusal("invalid_client", "client authentication failed", 401)
        return client_id


_FORM: Final = "application/x-www-form-urlencoded"


async def spoken(request: web.Request) -> dict[str, str]:
    """A request's fields, from a form or from JSON."""
    if request.content_type == "application/json":
        document = json.loads(await request.text())
        return {name: value for name, value in document.items() if isinstance(value, str)}
    return {name: str(value) for name, value in (await request.post()).items()}


def refused(refusal: Refusal) -> web.Response:
    document = {"error": refusal.error} | ({"error_description": refusal.description} if refusal.description else {})
    return web.json_response(document, status=refusal.status, headers={"Cache-Control": "no-store"})


def _check_target(given: Given, said: Mapping[str, str]) -> None:
    """RFC 8707 §2.2: whoever named a resource when asking for the code names the same one ever after."""
    if said.get("resource", "") != given.family.asked.resource:
        raise Refusal("invalid_target", "resource is another one than was granted")


def _wrong(asked: Asked, query: Mapping[str, str], *, known: bool) -> tuple[str, str] | None:
    """The server *asserts* what the client promises: code flow, PKCE with S256, state, a nonce with OpenID."""
    if query.get("response_type") != "code":
        return "unsupported_response_type", "only code"
    if not asked.challenge or query.get("code_challenge_method") != "S256":
        return "invalid_request", "PKCE with S256 is required"
    if not asked.state or ("openid" in asked.scopes and not asked.nonce):
        return "invalid_request", "state, and nonce with OpenID, are required"
    for scope in asked.scopes:
        if scope not in SCOPES or (known and scope in NOT_FOR_CLIENTS):
            return "invalid_scope", f"requested scope is not allowed: {scope}"
    return None


def _check_claude_refresh(request: web.Request, said: Mapping[str, str]) -> None:
    if request.content_type != "application/json" or set(said) != {"grant_type", "refresh_token", "client_id"}:
        raise Refusal("invalid_request", "this endpoint wants JSON of grant_type, refresh_token and client_id")
    if BETA not in request.headers.get("anthropic-beta", "").split(","):
        raise Refusal("invalid_request", "anthropic-beta is missing")


def _page(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", status=status)
