"""One request to a token endpoint and its neighbours: authlib builds the message, `web` carries it, `answers` sorts."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qsl, quote_plus, urlsplit

from aixtiv_protocol.secret import Secret
from aixtivd.clock import Clock
from aixtivd.errors import Misconfigured, Refused, Unreachable
from aixtivd.oauth import answers, outcomes
from aixtivd.oauth.client import Client
from aixtivd.oauth.document import as_object
from aixtivd.oauth.web import Answer, Web, WebFailure

if TYPE_CHECKING:
    from authlib.oauth2.auth import ClientAuth

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"  # authlib has it behind its server's imports

_FORM: Final = "application/x-www-form-urlencoded"


class Endpoint:
    """`timeout`: seconds for one request; may be set anew when the config is reloaded."""

    def __init__(self, web: Web, clock: Clock, timeout: float = 30.0) -> None:
        self.timeout = timeout
        self._web = web
        self._clock = clock

    async def exchange(
        self, client: Client, *, code: Secret, verifier: Secret, redirect_uri: str, state: str
    ) -> outcomes.Outcome:
        """The code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
        from authlib.oauth2.rfc6749.parameters import (  # noqa: PLC0415 - heavy: loads when first needed
            prepare_token_request,
        )

        body = prepare_token_request(
            "authorization_code",
            redirect_uri=redirect_uri,
            code=code.reveal(),
            code_verifier=verifier.reveal(),
            state=state if client.quirks.state_in_exchange else None,
            resource=client.resource,
        )
        quirks = client.quirks
        return await self._ask(client, body, quirks.exchange_body, quirks.exchange_headers, (code, verifier))

    async def refresh(self, client: Client, refresh_token: Secret) -> outcomes.Outcome:
        """The refresh token for new ones (RFC 6749 §6), sent exactly once."""
        from authlib.oauth2.rfc6749.parameters import (  # noqa: PLC0415 - heavy: loads when first needed
            prepare_token_request,
        )

        body = prepare_token_request("refresh_token", refresh_token=refresh_token.reveal(), resource=client.resource)
        quirks = client.quirks
        return await self._ask(
            client, body, quirks.refresh_body, quirks.refresh_headers, (refresh_token,), refreshes=True
        )

    async def client_credentials(self, client: Client) -> outcomes.Outcome:
        """The client's own token (RFC 6749 §4.4). Nothing is spent by asking."""
        from authlib.oauth2.rfc6749.parameters import (  # noqa: PLC0415 - heavy: loads when first needed
            prepare_token_request,
        )

        body = prepare_token_request("client_credentials", scope=" ".join(client.scopes), resource=client.resource)
        return await self._ask(client, body, "form", {}, (), refreshes=True)

    async def federate(self, client: Client, assertion: Secret, facts: Mapping[str, str]) -> outcomes.Outcome:
        """An identity token for an access token (RFC 7523 §2.1). Nothing of ours is spent by asking.

        `facts`: what the provider wants beside it; empty ones are left out.
        """
        from authlib.oauth2.rfc6749.parameters import (  # noqa: PLC0415 - heavy: loads when first needed
            prepare_token_request,
        )

        body = prepare_token_request(
            JWT_BEARER,
            assertion=assertion.reveal(),
            scope=" ".join(client.scopes),
            **({"resource": client.resource} | dict(facts)),
        )
        quirks = client.quirks
        return await self._ask(
            client, body, quirks.federation_body, quirks.federation_headers, (assertion,), refreshes=True
        )

    async def device_code(self, client: Client, patience: float) -> Answer:
        """Asks for a code that a person types elsewhere (RFC 8628 §3.1). Raises Unreachable, Misconfigured."""
        from authlib.common.urls import url_encode  # noqa: PLC0415 - heavy: loads when first needed

        asked = (("scope", " ".join(client.scopes)), ("resource", client.resource))
        body = url_encode([(name, value) for name, value in asked if value])
        timeout = min(self.timeout, patience)
        return await self._post(client, client.device_authorization_endpoint, body, timeout=timeout)

    async def device_token(self, client: Client, device_code: Secret) -> Answer:
        """Whether the person has typed it (RFC 8628 §3.4). Raises WebFailure, Misconfigured."""
        from authlib.oauth2.rfc6749.parameters import (  # noqa: PLC0415 - heavy: loads when first needed
            prepare_token_request,
        )

        body = prepare_token_request(DEVICE_CODE, device_code=device_code.reveal(), resource=client.resource)
        return await self._post(client, client.token_endpoint, body)

    async def revoke(self, client: Client, token: Secret, hint: Literal["refresh_token", "access_token"]) -> str:
        """Empty when the provider confirmed (RFC 7009 §2.2), else a sentence. Raises nothing."""
        from authlib.oauth2.rfc7009 import (  # noqa: PLC0415 - heavy: loads when first needed
            prepare_revoke_token_request,
        )

        if not client.revocation_endpoint:
            return f"{client.provider} has no revocation endpoint, the token ends by itself"
        body, _ = prepare_revoke_token_request(token.reveal(), hint)
        host = _host(client.revocation_endpoint)
        try:
            answer = await self._post(client, client.revocation_endpoint, body)
        except (Unreachable, Misconfigured) as failure:
            return failure.sentence
        if answer.status in {200, 204} and "html" not in answer.headers.get("content-type", ""):
            return ""
        error = answers.oauth_error(answer, as_object(answer.body), said(client, (token,)))
        return f"{host} says {error.words}" if error else f"{host} answered {answer.status} to the revocation"

    async def introspect(self, client: Client, token: Secret) -> bool | None:
        """Whether the provider holds a token for active (RFC 7662); None: it has no such endpoint.

        Raises Unreachable, Refused, Misconfigured.
        """
        from authlib.common.urls import url_encode  # noqa: PLC0415 - heavy: loads when first needed

        if not client.introspection_endpoint:
            return None
        answer = await self._post(client, client.introspection_endpoint, url_encode([("token", token.reveal())]))
        document = as_object(answer.body)
        active = document.get("active") if document and answer.status == 200 else None
        if isinstance(active, bool):
            return active
        host = _host(client.introspection_endpoint)
        match answers.sort(answer, client.quirks, self._clock.wall(), host=host, secrets=said(client, (token,))):
            case outcomes.Misconfigured(reason=reason):
                raise Misconfigured(reason)
            case outcomes.Refused(reason=reason) | outcomes.NeedsSignIn(reason=reason):
                raise Refused(reason)
            case outcomes.TryAgain(reason=reason, retry_after=seconds):
                raise Unreachable(reason, retry_after=seconds)
            case outcomes.Granted() | outcomes.Rotated():
                raise Unreachable(f"{host} answered an introspection with a token")

    async def _ask(
        self,
        client: Client,
        body: str,
        form: Literal["form", "json"],
        headers: Mapping[str, str],
        secrets: tuple[Secret, ...],
        *,
        refreshes: bool = False,
    ) -> outcomes.Outcome:
        try:
            answer = await self._post(client, client.token_endpoint, body, form, headers)
        except WebFailure as failure:
            return answers.sort_failure(failure, self._clock.wall())
        except Misconfigured as failure:
            return outcomes.Misconfigured(reason=failure.sentence)
        return answers.sort(
            answer,
            client.quirks,
            self._clock.wall(),
            host=_host(client.token_endpoint),
            secrets=said(client, secrets),
            refreshes=refreshes,
        )

    async def _post(
        self,
        client: Client,
        url: str,
        body: str,
        form: Literal["form", "json"] = "form",
        headers: Mapping[str, str] | None = None,
        timeout: float = 0.0,  # noqa: ASYNC109 - as `web` has it; 0: the usual one
    ) -> Answer:
        ours: dict[str, str] = {}
        if client.client_id:
            _, ours, body = _client_auth(client).prepare("POST", url, {}, body)
        if form == "json":
            body = json.dumps(dict(parse_qsl(body, keep_blank_values=True)), separators=(",", ":"))
        ours |= {"Content-Type": _FORM if form == "form" else "application/json"} | dict(headers or {})
        return await self._web.send("POST", url, headers=ours, body=body.encode(), timeout=timeout or self.timeout)


def _client_auth(client: Client) -> "ClientAuth":
    """RFC 6749 §2.3.1: for basic, id and secret are form-encoded *before* they are joined; authlib does not."""
    from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415 - heavy: loads when first needed

    secret = client.client_secret.reveal() if client.client_secret else ""
    match client.client_auth:
        case "none":
            return ClientAuth(client.client_id, None, "none")
        case "basic":
            return ClientAuth(quote_plus(client.client_id), quote_plus(secret), "client_secret_basic")
        case "post":
            return ClientAuth(client.client_id, secret, "client_secret_post")


def said(client: Client, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
    """What a server that quotes its request may show: also the pair of the Basic header, as it stands in there."""
    if not client.client_secret:
        return secrets
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret.reveal())}"
    return (Secret(pair), *secrets, client.client_secret)


def _host(url: str) -> str:
    return urlsplit(url).netloc
