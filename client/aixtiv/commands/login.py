"""`aixtiv login`: signs a person in."""

import os
from contextlib import suppress
from typing import Literal

import click
from msgspec import Struct

from aixtiv import completing, environment, people, settings, show, signin, surroundings, ways, which
from aixtiv.client import Client
from aixtiv.commands import options, sources
from aixtiv.failures import AixtivError, NoAccount, NotUnderstood, Usage
from aixtiv.mcp import servers
from aixtiv.stream import Stream
from aixtiv.surroundings import Surroundings
from aixtiv.words import span
from aixtiv_protocol.replies import SignedIn, SignInStarted
from aixtiv_protocol.requests import ClientCredentials, ClientSettings, Device, Source
from aixtiv_protocol.secret import Secret


class How(Struct, frozen=True):
    """How the person is told."""

    place: Surroundings
    non_interactive: bool = False
    no_browser: bool = False
    as_json: bool = False


@click.command("login")
@options.account
@click.option(
    "--provider",
    "-p",
    default="",
    shell_complete=completing.providers,
    help="Where, if ACCOUNT's first part does not say it.",
)
@click.option("--issuer", default="", metavar="URL", help="Any OpenID issuer; it says the rest itself.")
@click.option("--resource", default="", metavar="URL", help="A remote MCP server; it says itself who signs in there.")
@click.option("--client-id", default="", metavar="ID", help="The id this machine has been given there.")
@click.option("--client-secret", is_flag=True, help="Ask for a client secret, or read it from stdin.")
@click.option("--client-secret-stdin", "client_secret", is_flag=True, hidden=True)
@click.option(
    "--client-auth", type=click.Choice(["none", "basic", "post"]), default=None, help="How the client shows it."
)
@click.option("--authorization-endpoint", default="", metavar="URL", help="Where there is no discovery.")
@click.option("--token-endpoint", default="", metavar="URL", help="Where there is no discovery.")
@click.option("--device-authorization-endpoint", default="", metavar="URL", help="Where there is no discovery.")
@click.option("--redirect-uri", default="", metavar="URL", help="If the provider wants an exact one.")
@options.scopes("--scope", "--scopes", "-s", help="A scope to ask for.")
@click.option("--port", type=options.PORT, default=0, help="Of the callback, if it must be a certain one.")
@click.option("--replace", is_flag=True, help="Allow another person, or API, than before.")
@click.option("--device", is_flag=True, help="By a code that is typed on another machine, a phone say.")
@click.option("--no-device", is_flag=True, help="Without such a code, where one would be offered.")
@click.option("--no-browser", is_flag=True, help="Show the address instead of opening a browser.")
@click.option("--non-interactive", "-n", is_flag=True, help="Print the address and how to finish, and do not wait.")
@sources.options
@options.endpoint
@options.common
def login(
    account: str,
    provider: str,
    issuer: str,
    resource: str,
    client_id: str,
    client_secret: bool,
    client_auth: Literal["none", "basic", "post"] | None,
    authorization_endpoint: str,
    token_endpoint: str,
    device_authorization_endpoint: str,
    redirect_uri: str,
    scopes: tuple[str, ...],
    port: int,
    replace: bool,
    device: bool,
    no_device: bool,
    no_browser: bool,
    non_interactive: bool,
    endpoint: str,
    source: Source | None,
    as_json: bool,
    no_start: bool,
) -> None:
    """Sign in as ACCOUNT: in the browser, or without a person.

    \b
    aixtiv login github --client-id ID
    aixtiv login google/work --client-id ID --client-secret
    aixtiv login company --issuer URL --client-id ID
    aixtiv login anthropic --ant
    aixtiv login anthropic --federation RULE \\
        --organization ORG --identity-account company
    aixtiv login robot --client-credentials \\
        --issuer URL --client-id ID --client-secret

    What is given here is kept with the grant, so that nothing needs to be given again. GITHUB_OAUTH_CLIENT_ID and the
    other variables of that kind count where an option is left out, and so do the older command's oauth2-config.json and
    claude.desktop.config.json.
    """  # noqa: D301  # \b is click's mark for "do not wrap this"
    given = ClientSettings(
        issuer=issuer,
        client_id=client_id,
        client_secret=Secret(options.secret("client secret")) if client_secret else None,
        client_auth=client_auth or "",
        authorization_endpoint=authorization_endpoint,
        token_endpoint=token_endpoint,
        device_authorization_endpoint=device_authorization_endpoint,
        redirect_uri=redirect_uri,
    )
    how = How(surroundings.here(), non_interactive=non_interactive, no_browser=no_browser, as_json=as_json)
    wanted = _device(how, source, device=device, no_device=no_device)
    provider = provider or sources.provider(source, issuer)
    there = provider or account.partition("/")[0]
    with options.Asking(no_start=no_start) as client:
        server = None
        if source is None and not (provider or issuer):
            server = servers.signed_in_to(account, resource, client, os.environ)
        found = _found(server, there, account, source, client_id)
        with client.login(
            _told_of(client, server.whose if server else account),
            provider=provider,
            settings=environment.merged(given, found.settings),
            scopes=scopes or found.scopes,
            port=port,
            replace=replace,
            source=source,
            endpoint=endpoint or (server.origin if server else options.endpoint_of(os.environ, there)),
            device=wanted,
        ) as stream:
            try:
                started = next(stream, None)
            except NoAccount as failure:
                if account:
                    raise
                raise Usage(failure.sentence) from None
            except AixtivError as failure:
                raise failure if endpoint else options.traced(failure) from None
            sign_in(client, stream, started, how, wanted)


def _told_of(client: Client, account: str) -> str:
    """The account; where nobody typed one, it is first said which this is, and why."""
    if not options.typed():
        with suppress(AixtivError):  # which the sign-in itself meets, too
            used = which.used(os.environ, client.accounts())
            if used.account:
                show.note(f"no account was named, and so this is {used.account}: {used.why}")
    return account


def _device(how: How, source: Source | None, *, device: bool, no_device: bool) -> Device:
    """A code is offered where no browser opens in front of the person, and may be left out; or it is all they want."""
    if device and no_device:
        raise Usage("--device and --no-device do not go together")
    if device and source is not None:
        raise Usage("--device is for a person who signs in, and here nobody does")
    if device:
        return "wanted"
    offered = how.non_interactive or not (how.place.in_front or how.place.opener)
    return "offered" if offered and not no_device and source is None else ""


def _found(
    server: servers.Server | None, provider: str, account: str, source: Source | None, client_id: str
) -> environment.Found:
    """What nobody typed. A federation and a command need no client of a person's."""
    if source is not None and not isinstance(source, ClientCredentials):
        return environment.Found(ClientSettings())
    found = servers.terms(server, os.environ) if server else settings.found_for(os.environ, provider, account)
    options.tell_of_strays()
    if server:
        servers.check_complete(server, found, client_id or found.settings.client_id)
    for sentence in found.missing:
        show.note(sentence)
    return found


def sign_in(
    client: Client,
    stream: Stream[SignInStarted | SignedIn],
    started: SignInStarted | SignedIn | None,
    how: How,
    device: Device = "",
) -> None:
    """`device`: as it was asked for."""
    if isinstance(started, SignedIn):  # nothing had to be asked of the person
        people.signed_in(started.account, as_json=how.as_json, note=started.note)
        return
    if started is None:
        raise NotUnderstood("the daemon's answer is not one this client knows")
    if how.non_interactive:
        _tell_how(started, as_json=how.as_json)
        return
    opening = how.place.in_front and not how.no_browser and device != "wanted"
    try:
        done = signin.wait(client, stream, started, how.place, open_browser=opening, with_code=bool(device))
    except KeyboardInterrupt:
        ways.left_open(started, with_code=bool(device))
        raise
    people.signed_in(done.account, as_json=how.as_json, note=done.note)


def _tell_how(started: SignInStarted, *, as_json: bool) -> None:
    """The address is the result; how to finish is for the person."""
    if as_json:
        show.as_json(show.shape(started))
        return
    ways.joined(started)
    show.result(started.url)
    show.note(f"open that address within {span(started.expires_in)}, in a browser on this machine or elsewhere")
    ways.code_beside(started)
    show.note("if the browser's last page cannot be reached, finish with its address")
    show.hint(ways.finish(started.account))
