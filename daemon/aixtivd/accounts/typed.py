"""The command that does what was asked once more, so that a hint loses nothing of what a person typed."""

import shlex
from collections.abc import Iterator

from aixtiv_protocol import requests


def login_command(asked: requests.Login, name: str, options: str = "") -> str:
    """`aixtiv login NAME` with what was said in `asked`; `options` come last, in place of what was said of them."""
    words = ["aixtiv", "login", name]
    for option, value in _said(asked, name):
        if option not in options.split():
            words += [option] if value is None else [option, value]
    return " ".join([shlex.join(words), options]).rstrip()


def _of_source(source: requests.Source | None) -> Iterator[tuple[str, str | None]]:
    match source:
        case requests.ClientCredentials():
            yield "--client-credentials", None
        case requests.Command():
            yield "--command", shlex.join(source.command)
        case requests.Federation():
            for option, value in (
                ("--federation", source.rule),
                ("--organization", source.organization),
                ("--service-account", source.service_account),
                ("--workspace", source.workspace),
                ("--identity-file", source.identity_file),
                ("--identity-command", shlex.join(source.identity_command)),
                ("--identity-account", source.identity_account),
            ):
                if value:
                    yield option, value
        case None:
            return


def _said(asked: requests.Login, name: str) -> Iterator[tuple[str, str | None]]:
    settings = asked.settings
    if asked.provider and asked.provider != name.partition("/")[0]:
        yield "--provider", asked.provider
    for option, value in (
        ("--resource", settings.resource),
        ("--issuer", settings.issuer),
        ("--client-id", settings.client_id),
        ("--client-auth", settings.client_auth),
        ("--authorization-endpoint", settings.authorization_endpoint),
        ("--token-endpoint", settings.token_endpoint),
        ("--redirect-uri", settings.redirect_uri),
        ("--device-authorization-endpoint", settings.device_authorization_endpoint),
    ):
        if value:
            yield option, value
    if settings.client_secret is not None:
        yield "--client-secret", None
    yield from _of_source(asked.source)
    if asked.endpoint and asked.endpoint != _origin(settings.resource):
        yield "--endpoint", asked.endpoint
    for scope in asked.scopes:
        yield "--scope", scope
    if asked.port:
        yield "--port", str(asked.port)
    if asked.device == "wanted":
        yield "--device", None
    if asked.replace:
        yield "--replace", None


def _origin(resource: str) -> str:
    """Where its API is, if nobody says another place; as it was written."""
    scheme, _, rest = resource.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
