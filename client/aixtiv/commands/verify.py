"""`aixtiv verify`: asks the issuer whether the credential is good."""

import click

from aixtiv import people, show
from aixtiv.commands import options
from aixtiv.failures import SignInNeeded
from aixtiv_protocol.replies import Verified


@click.command("verify")
@options.account
@click.option("--wait", type=options.WAIT, default=30.0, help="Seconds to wait for the issuer (30).")
@options.common
def verify(account: str, wait: float, as_json: bool, no_start: bool) -> None:
    """Ask the issuer whether the credential is good.

    By introspection where the issuer has it, and by the signature of the ID token. Exits with 3 if it is not good.
    """
    with options.Asking(no_start=no_start) as client:
        found = client.verify(account, wait=wait)
    if as_json:
        show.as_json(show.shape(found))
    else:
        people.verdict(found)
    _judge(found)
    if not as_json:
        show.hint(found.account.hint)


def _judge(found: Verified) -> None:
    """Raises SignInNeeded where the credential is not good."""
    name = found.account.name
    if found.account.state == "quarantined":
        raise SignInNeeded(f"a person has to sign in to {name}", hint=found.account.hint or f"aixtiv login {name}")
    if found.active is False:
        raise SignInNeeded(f"the issuer does not take the token of {name} any more", hint=f"aixtiv refresh {name}")
    if found.id_token == "invalid":
        raise SignInNeeded(f"the ID token of {name} is not signed by its issuer", hint=f"aixtiv login {name}")
