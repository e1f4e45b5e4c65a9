"""The server's device grant (RFC 8628): codes that wait for a person, and the page at which one is typed."""

import secrets
import time
from html import escape
from typing import Any, Final

from msgspec import Struct

from peers.authority.grants import Asked, Family, Given, Grants, Refusal, Settings
from peers.authority.pages import DOCUMENT

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"  # §6.1


class Waiting(Struct, kw_only=True):
    asked: Asked
    user_code: str
    until: float
    answer: str = ""  # "yes" or "no", once the person has said it


class Devices:
    """`polls`: how often somebody asked for tokens."""

    def __init__(self, settings: Settings, grants: Grants) -> None:
        self.polls = 0
        self._settings = settings
        self._grants = grants
        self._waiting: dict[str, Waiting] = {}

    def begin(self, issuer: str, asked: Asked) -> dict[str, Any]:
        device_code = self._grants.new("dc")
        code = "".join(secrets.choice(_LETTERS) for _ in range(8))
        user_code = f"{code[:4]}-{code[4:]}"
        ttl = self._settings.device_ttl
        self._waiting[device_code] = Waiting(asked=asked, user_code=user_code, until=time.time() + ttl)
        answer = {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": f"{issuer}/device",
            "expires_in": int(ttl),
            "interval": self._settings.device_interval,
        }
        complete = {"verification_uri_complete": f"{issuer}/device?user_code={user_code}"}
        return answer | (complete if self._settings.device_complete else {})

    @property
    def codes(self) -> list[str]:
        """What people may be looking at, in the order of asking."""
        return [waiting.user_code for waiting in self._waiting.values()]

    def answer(self, user_code: str, subject: str, *, yes: bool = True) -> bool:
        """Whether there is such a code. What a person types may lack the hyphen, and be in lower case."""
        for waiting in self._waiting.values():
            if _plain(waiting.user_code) == _plain(user_code) and not waiting.answer:
                waiting.asked.subject = subject
                waiting.answer = "yes" if yes else "no"
                return True
        return False

    def redeem(self, device_code: str, client_id: str) -> Given:
        self.polls += 1
        waiting = self._waiting.get(device_code)
        if waiting is None or waiting.asked.client_id != client_id:
            raise Refusal("invalid_grant", "device code unknown")
        if time.time() > waiting.until:
            raise Refusal("expired_token", "the code is over")
        match waiting.answer:
            case "yes":
                del self._waiting[device_code]
                family = Family(asked=waiting.asked)
                self._grants.families.append(family)
                return self._grants.give(family)
            case "no":
                raise Refusal("access_denied", "End-User aborted interaction")
            case _:
                raise Refusal("authorization_pending")


def page(user_code: str, problem: str = "") -> str:
    return DOCUMENT.format(
        title="Connect a device",
        content=f"""<p>{escape(problem)}</p><form autocomplete="off" action="/device" method="post">
<input required type="text" name="user_code" value="{escape(user_code)}" placeholder="Code">
<input required type="text" name="login" placeholder="Enter any login">
<input required type="password" name="password" placeholder="and password">
<button type="submit">Continue</button>
</form>
<a href="/device/{escape(user_code)}/abort">[ Cancel ]</a>""",
    )


def done(sentence: str) -> str:
    return DOCUMENT.format(title="Connect a device", content=f"<p>{escape(sentence)}</p>")


def _plain(user_code: str) -> str:
    return user_code.replace("-", "").upper()
