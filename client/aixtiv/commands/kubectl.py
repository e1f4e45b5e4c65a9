"""`aixtiv kubectl`: what a kubeconfig's `exec` runs (client.authentication.k8s.io)."""

import os
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from aixtiv import show
from aixtiv.commands import options
from aixtiv.failures import Usage

_INFO: Final = "KUBERNETES_EXEC_INFO"
_GROUP: Final = "client.authentication.k8s.io/"
_VERSIONS: Final = (f"{_GROUP}v1", f"{_GROUP}v1beta1")
_LIFE: Final = 60  # seconds a token must still have: kubectl keeps it until it ends


class _Cluster(Struct, frozen=True):
    server: str = ""


class _Spec(Struct, frozen=True):
    cluster: _Cluster = _Cluster()


class _Asked(Struct, frozen=True, rename="camel"):
    """Of an ExecCredential what counts here; it stands in the environment."""

    api_version: str = _VERSIONS[0]
    spec: _Spec = _Spec()


@click.command("kubectl")
@options.account
@click.option("--id-token", is_flag=True, help="The ID token, for clusters that know people by OpenID.")
@options.agents_id
@options.no_start
def kubectl(account: str, id_token: bool, agent: str, no_start: bool) -> None:
    """Give kubectl a token for a cluster.

    It stands in the kubeconfig as the user's exec command. With provideClusterInfo there, the cluster's server has to
    be among the account's hosts.
    """
    asked = _read(os.environ.get(_INFO, ""))
    with options.Asking(no_start=no_start, agent=agent) as client:
        found = client.host_token(
            asked.spec.cluster.server, account, kind="id" if id_token else "access", min_ttl=_LIFE
        )
    status: dict[str, Any] = {"token": found.access_token.reveal()}
    if found.expires_at:
        status["expirationTimestamp"] = datetime.fromtimestamp(found.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    show.as_json({"apiVersion": asked.api_version, "kind": "ExecCredential", "status": status})


def _read(info: str) -> _Asked:
    try:
        asked = msgspec.json.decode(info, type=_Asked) if info.strip() else _Asked()
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise Usage(f"{_INFO} is no ExecCredential: it is for kubectl to set", hint=f"unset {_INFO}") from None
    if asked.api_version not in _VERSIONS:
        raise Usage(
            f"kubectl wants a credential that is not {' or '.join(_VERSIONS)}",
            hint="kubectl config set-credentials NAME --exec-api-version=client.authentication.k8s.io/v1",
        )
    return asked
