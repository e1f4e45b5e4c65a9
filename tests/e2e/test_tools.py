"""What other tools are given: real kubectl, keyring and pip, and Claude Code's headersHelper as it is documented."""

import base64
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers.authority.process import Running, authorization_server
from peers.cluster import Cluster, cluster
from peers.machine import Machine, Ran
from peers.person import visit

CONFIG = """
[account.work]
hosts = ["{place}", "mcp.example.org/team", "pypi.example.org/simple"]
"""
INFO = "KUBERNETES_EXEC_INFO"


class Bench:
    def __init__(self, machine: Machine, server: Running, kubernetes: Cluster) -> None:
        self.machine = machine
        self.server = server
        self.kubernetes = kubernetes

    def sign_in(self, account: str = "work") -> replies.AccessToken:
        settings = requests.ClientSettings(
            issuer=self.server.issuer, client_id="basic", client_secret=Secret(self.server.secret)
        )
        asked = requests.Login(
            account=account, provider=account, settings=settings, scopes=("openid", "offline_access")
        )
        self.machine.sign_in(visit, asked)
        return self.machine.token(account)

    def program(self, *words: str, **environ: str) -> Ran:
        ran = subprocess.run(
            words,
            env=self.machine.environ | environ,
            cwd=self.machine.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Ran(ran.stdout, ran.stderr, ran.returncode)

    def kubectl(self, kubeconfig: Path) -> Ran:
        if shutil.which("kubectl") is None:
            assert not os.environ.get("CI"), "kubectl is not here"
            pytest.skip("kubectl is not here")
        return self.program("kubectl", "--kubeconfig", str(kubeconfig), "get", "--raw", "/healthz")


@pytest.fixture
def at(folder: Path) -> Iterator[Bench]:
    with cluster(folder / "k8s") as kubernetes, authorization_server() as server, Machine(folder) as machine:
        machine.configure(CONFIG.format(place=kubernetes.place))
        yield Bench(machine.start(), server, kubernetes)


def test_kubectl_reaches_a_cluster_that_the_account_names(at: Bench) -> None:
    token = at.sign_in().access_token.reveal()
    at.kubernetes.taken.add(token)
    for version in ("v1", "v1beta1"):
        got = at.kubectl(at.kubernetes.kubeconfig("work", version=version))
        assert (got.out, got.code) == ("ok", 0), got.err
    assert set(at.kubernetes.seen) == {f"Bearer {token}"}


def test_a_cluster_that_it_does_not_name_is_shown_nothing(at: Bench) -> None:
    at.sign_in()
    at.machine.configure(CONFIG.format(place="k8s.example.org:6443"))
    at.machine.run("reload")
    got = at.kubectl(at.kubernetes.kubeconfig("work"))
    assert got.code != 0
    assert f"aixtiv: error: work is not for {at.kubernetes.place}: account.work.hosts does not name it" in got.err
    assert set(at.kubernetes.seen) <= {""}


def test_a_cluster_that_knows_people_by_openid_gets_the_id_token(at: Bench) -> None:
    at.sign_in()
    issued = [secret for secret in at.server.issued if secret.startswith("eyJ")]
    at.kubernetes.taken.update(issued)
    got = at.kubectl(at.kubernetes.kubeconfig("work", "--id-token"))
    assert (got.out, got.code) == ("ok", 0), got.err
    assert {said.removeprefix("Bearer ") for said in at.kubernetes.seen} <= set(issued)


def test_an_exec_credential_says_when_it_ends(at: Bench) -> None:
    token = at.sign_in()
    said = at.machine.run("kubectl", "work").json()
    ends = datetime.fromtimestamp(token.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"token": token.access_token.reveal(), "expirationTimestamp": ends}
    assert said == {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}


WRONG = {
    "{": "KUBERNETES_EXEC_INFO is no ExecCredential: it is for kubectl to set",
    '{"apiVersion":"client.authentication.k8s.io/v1alpha1"}': "kubectl wants a credential that is not",
    '{"apiVersion":5}': "KUBERNETES_EXEC_INFO is no ExecCredential",
}


def test_what_kubectl_does_not_say_is_wrong_usage(at: Bench) -> None:
    for info, sentence in WRONG.items():
        ran = at.machine.run("kubectl", "work", **{INFO: info})
        assert (ran.out, ran.code) == ("", 64)
        assert ran.err.startswith(f"aixtiv: error: {sentence}")


def test_headers_are_one_json_object_and_go_where_the_account_is_for(at: Bench) -> None:
    token = at.sign_in().access_token.reveal()
    bearer = {"Authorization": f"Bearer {token}"}
    assert at.machine.run("headers", "work").json() == bearer
    assert at.machine.run("headers", "work", "--header", "x-api-key").json() == {"x-api-key": token}
    server = {"CLAUDE_CODE_MCP_SERVER_NAME": "team", "CLAUDE_CODE_MCP_SERVER_URL": "https://mcp.example.org/team/mcp"}
    assert at.machine.run("headers", "work", **server).json() == bearer
    assert at.machine.run("headers", "--host", "mcp.example.org/team").json() == bearer
    evil = at.machine.run("headers", "work", CLAUDE_CODE_MCP_SERVER_URL="https://mcp.example.org/teams")
    assert (evil.out, evil.code) == ("", 1)
    assert "work is not for mcp.example.org/teams" in evil.err
    assert at.machine.run("headers", "work", "--host", "http://mcp.example.org/team").code == 1
    assert at.machine.run("headers", "work", "--header", "a: b").code == 64


def test_keyring_gives_the_accounts_token_and_keeps_nothing(at: Bench) -> None:
    token = at.sign_in().access_token.reveal()
    keyring = str(at.machine.scripts / "keyring")
    assert at.program(keyring, "get", "aixtiv", "work").out.strip() == token
    for service in ("https://pypi.example.org/simple/", "pypi.example.org/simple"):
        assert at.program(keyring, "get", service, "ada").out.strip() == token
    for service in (
        "https://pypi.org/simple",
        "pypi.example.org",
        "github-cli",
        "https://pypi.example.org/simple-evil",
    ):
        assert at.program(keyring, "get", service, "ada").out == ""
    assert at.program(keyring, "get", "aixtiv", "nobody").out == ""
    ran = at.program(sys.executable, "-c", "import keyring; keyring.set_password('https://pypi.example.org', 'a', 'b')")
    assert "aixtiv keeps no passwords" in ran.err


def test_keyring_is_silent_where_no_daemon_runs_and_says_what_is_wrong_where_an_account_is_meant(at: Bench) -> None:
    keyring = str(at.machine.scripts / "keyring")
    refused = at.program(keyring, "get", "https://pypi.example.org/simple", "ada")
    assert "nobody has signed in to work; run: aixtiv login work" in refused.err
    at.machine.stop()
    assert at.program(keyring, "get", "https://pypi.example.org/simple", "ada").err == ""


def test_pip_gets_it_from_keyring(at: Bench) -> None:
    token = at.sign_in().access_token.reveal()
    at.kubernetes.taken.clear()  # any server that asks: pip shows it what keyring has
    place = f"localhost:{at.kubernetes.place.rpartition(':')[2]}/simple"  # pip of 3.13 takes no number for a name
    url = f"https://{place}"
    at.machine.configure(CONFIG.format(place=place))
    at.machine.run("reload")
    pip: tuple[str, ...] = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--isolated")
    if tuple(map(int, importlib.metadata.version("pip").split(".")[:2])) >= (
        23,
        1,
    ):  # before, pip asks whatever keyring there is
        pip += ("--keyring-provider", "import")
    certificate = str(at.kubernetes.folder / "cert.pem")
    at.program(*pip, "--cert", certificate, "download", "--no-deps", "--retries", "0", "--index-url", url, "nothing")

    pairs = {base64.b64decode(said.removeprefix("Basic ")).decode() for said in at.kubernetes.seen if said}
    assert pairs == {f"oauth2:{token}"}


def test_the_daemon_never_loads_the_backend_that_would_ask_it(at: Bench) -> None:
    at.machine.stop()
    at.machine.configure('[vault]\nkey = "keyring"\nkeyring-backend = "aixtiv.integrations.keyring.Keyring"\n')
    shutil.rmtree(at.machine.state)
    at.machine.start()
    status = at.machine.run("status", "--json").json()
    assert status["locked"]
    assert "aixtiv.integrations.keyring.Keyring is not a key store" in status["lock_reason"]


LOOK = """
import sys
from pathlib import Path
from aixtivd.vault.keys.keystore import KeyStore
from aixtivd.vault.keys.occasion import Occasion
from aixtivd.errors import KeyFailed
try:
    KeyStore.of_this_platform().load(Occasion(Path("/nonexistent"), b"s" * 16))
except KeyFailed as failed:
    print(failed.sentence)
print([name for name in sys.modules if name.split(".")[0] == "aixtiv"])
"""


def test_asking_for_its_own_key_it_does_not_even_look_for_other_backends(at: Bench) -> None:
    assert at.program(sys.executable, "-c", LOOK).out.splitlines()[-1] == "[]"


def test_rules_apply_to_each_of_them(at: Bench) -> None:
    token = at.sign_in().access_token.reveal()
    at.machine.configure(CONFIG.format(place=at.kubernetes.place) + '[access]\nrelay-only = ["work"]\n')
    at.machine.run("reload")
    keyring = str(at.machine.scripts / "keyring")
    for ran in (
        at.machine.run("kubectl", "work"),
        at.machine.run("kubectl", "work", "--id-token"),
        at.machine.run("headers", "work"),
        at.machine.run("headers", "--host", "mcp.example.org/team"),
        at.program(keyring, "get", "aixtiv", "work"),
        at.program(keyring, "get", "https://pypi.example.org/simple", "ada"),
    ):
        assert (ran.out.strip(), "relay-only" in ran.err) == ("", True), ran.err
        assert token not in ran.err
    assert json.loads(at.machine.run("accounts", "--json").out)
