"""`aixtiv login`: signs a person in."""

import os
from typing import Literal

import click

from aixtiv import browser, environment, people, settings, show, signin
from aixtiv.client import Client
from aixtiv.commands import options, sources
from aixtiv.failures import AixtivError, NoAccount, NotUnderstood, Usage
from aixtiv.stream import Stream
from aixtiv.words import span
from aixtiv_protocol.replies import SignedIn, SignInStarted
from aixtiv_protocol.requests import ClientCredentials, ClientSettings, Source
from aixtiv_protocol.secret import Secret


@click.command("login")
@options.account
@click.option("--provider", "-p", default="", help="Where, if ACCOUNT's first part does not say it.")
@click.option("--issuer", default="", metavar="URL", help="Any OpenID issuer; it says the rest itself.")
@click.option("--client-id", default="", metavar="ID", help="The id this machine has been given there.")
@click.option("--client-secret", is_flag=True, help="Ask for a client secret, or read it from stdin.")
@click.option("--client-secret-stdin", "client_secret", is_flag=True, hidden=True)
@click.option(
    "--client-auth", type=click.Choice(["none", "basic", "post"]), default=None, help="How the client shows it."
)
@click.option("--authorization-endpoint", default="", metavar="URL", help="Where there is no discovery.")
@click.option("--token-endpoint", default="", metavar="URL", help="Where there is no discovery.")
@click.option("--redirect-uri", default="", metavar="URL", help="If the provider wants an exact one.")
@options.scopes("--scope", "--scopes", "-s", help="A scope to ask for.")
@click.option("--port", type=options.PORT, default=0, help="Of the callback, if it must be a certain one.")
@click.option("--replace", is_flag=True, help="Allow another person, or API, than before.")
@click.option("--no-browser", is_flag=True, help="Show the address instead of opening a browser.")
@click.option("--non-interactive", "-n", is_flag=True, help="Print the address and how to finish, and do not wait.")
@sources.options
@options.endpoint
@options.common
def login(
    account: str,
    provider: str,
    issuer: str,
    client_id: str,
    client_secret: bool,
    client_auth: Literal["none", "basic", "post"] | None,
    authorization_endpoint: str,
    token_endpoint: str,
    redirect_uri: str,
    scopes: tuple[str, ...],
    port: int,
    replace: bool,
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
        redirect_uri=redirect_uri,
    )
    provider = provider or sources.provider(source, issuer)
    there = provider or account.partition("/")[0]
    found = _found(there, account, source)
    with (
        options.Asking(no_start=no_start) as client,
        client.login(
            account,
            provider=provider,
            settings=environment.merged(given, found.settings),
            scopes=scopes or found.scopes,
            port=port,
            replace=replace,
            source=source,
            endpoint=endpoint or options.endpoint_of(os.environ, there),
        ) as stream,
    ):
        try:
            started = next(stream, None)
        except NoAccount as failure:
            if account:
                raise
            raise Usage(failure.sentence) from None
        except AixtivError as failure:
            raise failure if endpoint else options.traced(failure) from None
        sign_in(client, stream, started, non_interactive=non_interactive, no_browser=no_browser, as_json=as_json)


def _found(provider: str, account: str, source: Source | None) -> environment.Found:
    """What nobody typed. A federation and a command need no client of a person's."""
    if source is not None and not isinstance(source, ClientCredentials):
        return environment.Found(ClientSettings())
    found = settings.found_for(os.environ, provider, account)
    options.tell_of_strays()
    for sentence in found.missing:
        show.note(sentence)
    return found


def sign_in(
    client: Client,
    stream: Stream[SignInStarted | SignedIn],
    started: SignInStarted | SignedIn | None,
    *,
    non_interactive: bool,
    no_browser: bool,
    as_json: bool,
) -> None:
    if isinstance(started, SignedIn):  # nothing had to be asked of the person
        people.signed_in(started.account, as_json=as_json, note=started.note)
        return
    if started is None:
        raise NotUnderstood("the daemon's answer is not one this client knows")
    if non_interactive:
        _tell_how(started, as_json=as_json)
        return
    opening = not no_browser and browser.in_front()
    try:
        done = signin.wait(client, stream, started, open_browser=opening)
    except KeyboardInterrupt:
        show.note(f"the sign-in stays open for {span(started.expires_in)}")
        show.hint(signin.finish(started.account))
        raise
    people.signed_in(done.account, as_json=as_json, note=done.note)


def _tell_how(started: SignInStarted, *, as_json: bool) -> None:
    """The address is the result; how to finish is for the person."""
    if as_json:
        show.as_json(show.shape(started))
        return
    signin.joined(started)
    show.result(started.url)
    show.note(f"open that address within {span(started.expires_in)}, in a browser on this machine or elsewhere")
    show.note("if the browser's last page cannot be reached, finish with its address")
    show.hint(signin.finish(started.account))
