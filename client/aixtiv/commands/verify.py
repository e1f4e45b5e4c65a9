"""`aixtiv verify`: asks the issuer whether the credential is good."""

import click

from aixtiv import people, show
from aixtiv.commands import options


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
    if found.active is False or found.id_token == "invalid" or found.account.state == "quarantined":
        raise SystemExit(3)
