"""What both authorization servers have in common: the clients they know, and how to sign in with one."""

from typing import Final, Literal

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret

SCOPES: Final = ("openid", "offline_access", "email", "api:read")

_AUTH: Final[dict[str, Literal["none", "basic", "post"]]] = {"native": "none", "basic": "basic", "post": "post"}


class Issuer:
    """A running server. Clients: `native` (public), `basic` and `post` (with `secret`)."""

    def __init__(self, issuer: str, secret: str) -> None:
        self.issuer: Final = issuer
        self.secret: Final = secret

    def login(self, account: str, *, client: str = "native", scopes: tuple[str, ...] = SCOPES) -> requests.Login:
        """What is asked of the daemon to sign in here."""
        secret = None if client == "native" else Secret(self.secret)
        settings = requests.ClientSettings(
            issuer=self.issuer, client_id=client, client_secret=secret, client_auth=_AUTH[client]
        )
        return requests.Login(account=account, settings=settings, scopes=scopes)

    def options(self) -> tuple[str, ...]:
        """The same for `native`, as a person types it after `aixtiv login NAME`."""
        return ("--issuer", self.issuer, "--client-id", "native", "--scope", " ".join(SCOPES))
