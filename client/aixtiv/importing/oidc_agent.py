"""oidc-agent's accounts, by its own command: it alone can decrypt them, and asks for its own password.

`oidc-gen -l` lists their names behind a line of words, `oidc-gen -p NAME` prints one decrypted, as JSON, on stdout,
and asks on stderr (seen in Debian's 4.2.6; the fields are those of its account.c). It is not asked where there is no
folder of its own, since it would make one.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from aixtiv.failures import AixtivError
from aixtiv.importing.find import Accounts, Find
from aixtiv_protocol.requests import ClientSettings
from aixtiv_protocol.secret import Secret, decode_hook

COMMAND: Final = "oidc-gen"
PASSWORD: Final = "OIDC_ENCRYPTION_PW"  # oidc-agent's own name for it (`--pw-env`)
_LISTING: Final = 20.0  # seconds; printing one may wait for a person to type
_MOST: Final = 1 << 20  # bytes that it may print


class Config(Struct, frozen=True):
    """What of an account's JSON matters here; 4.x says `scope`, 5.x says it in two."""

    issuer_url: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    scope: str = ""
    auth_scope: str = ""
    refresh_scope: str = ""
    mytoken_url: str = ""
    device_authorization_endpoint: str = ""
    redirect_uris: list[str] = []


def look(environ: Mapping[str, str], home: Path, accounts: Accounts) -> tuple[list[Find], list[str]]:
    """What was found, and a sentence where its command does not do as it should."""
    command = shutil.which(COMMAND, path=environ.get("PATH"))
    if command is None or not any(folder.is_dir() for folder in folders(environ, home)):
        return [], []
    try:
        listed = subprocess.run(
            [command, "-l"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LISTING,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return [], [f"{COMMAND} is there, and cannot list its accounts"]
    return [_find(name, accounts) for name in _names(listed)], []


def folders(environ: Mapping[str, str], home: Path) -> list[Path]:
    """Where it keeps its accounts; the first that is there counts."""
    named = environ.get("OIDC_CONFIG_DIR", "")
    return [*([Path(named)] if named else []), home / ".config/oidc-agent", home / ".oidc-agent"]


def _names(listed: bytes) -> list[str]:
    """Behind the heading, one a line."""
    lines = listed.decode(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.rstrip().endswith(":")]


def _find(name: str, accounts: Accounts) -> Find:
    find = Find("oidc-agent", f"sign-in {name}", where="oidc-agent", account=name, note=f"{name} is signed in already")
    if accounts.signed_in(name):
        return find
    note = f"can be taken over as {name}; where its provider rotates tokens, oidc-agent has it no more"
    return Find(find.source, find.what, where=find.where, deed="adopt", account=name, note=note)


def config(name: str, environ: Mapping[str, str]) -> Config:
    """Decrypted: the person is asked for oidc-agent's password by oidc-agent, unless OIDC_ENCRYPTION_PW says it."""
    command = shutil.which(COMMAND, path=environ.get("PATH")) or COMMAND
    asking = sys.stdin.isatty() and sys.stderr.isatty() and not environ.get(PASSWORD)
    words = [command, "-p", name] if asking else [command, "-p", name, "--pw-env"]
    try:
        with subprocess.Popen(
            words,
            env=dict(environ),
            stdin=None if asking else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if asking else subprocess.DEVNULL,
        ) as process:
            printed = process.stdout.read(_MOST) if process.stdout else b""
    except OSError as error:
        raise AixtivError(f"{COMMAND} cannot be run: {error.strerror}") from None
    if process.returncode:
        why = "" if asking or environ.get(PASSWORD) else f"; its password is asked for at a terminal, or in {PASSWORD}"
        raise AixtivError(f"{COMMAND} did not decrypt {name}{why}", hint="aixtiv import oidc-agent")
    try:
        return msgspec.json.decode(printed, type=Config, dec_hook=decode_hook)
    except (msgspec.DecodeError, RecursionError):
        raise AixtivError(f"{COMMAND} printed for {name} what is no account") from None


def completed(find: Find, found: Config) -> Find:
    """With its refresh token, and the client that this was issued to. Raises AixtivError where there is none."""
    if found.mytoken_url or not found.refresh_token:
        raise AixtivError(f"oidc-agent has no refresh token for {find.account}", hint=f"aixtiv login {find.account}")
    loopback = [uri for uri in found.redirect_uris if uri.startswith(("http://localhost", "http://127.0.0.1"))]
    return Find(
        find.source,
        find.what,
        where=find.where,
        deed="adopt",
        account=find.account,
        note=find.note,
        value=found.refresh_token,
        settings=ClientSettings(
            issuer=found.issuer_url.rstrip("/"),  # oidc-agent puts one behind every issuer
            client_id=found.client_id,
            client_secret=found.client_secret or None,
            redirect_uri=loopback[0] if loopback else "",
            device_authorization_endpoint=found.device_authorization_endpoint,
        ),
        scopes=tuple((found.scope or found.auth_scope or found.refresh_scope).split()),
    )
