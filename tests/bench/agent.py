"""oidc-agent, the peer in C: how many tokens a second it hands out, and how many we do."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from bench import goals
from bench.bench import Bench
from bench.measuring import BACK, FRONT, interleaved, pin
from bench.table import LeftOut, Line, Row
from bench.tokens import servers
from peers.waiting import until

ROW: Final = Row("agent")
ACCOUNT: Final = "kit"
REQUEST: Final = json.dumps({"request": "access_token", "account": ACCOUNT, "min_valid_period": 0}).encode()
"""It answers in the clear who asks in the clear. Its own command encrypts, which costs it more."""


def rows(bench: Bench) -> Iterator[Line | LeftOut]:
    if bench.floors.missing or FRONT == BACK:
        yield ROW.without(bench.floors.missing or "there is one core only")
        return
    if missing := [name for name in ("oidc-agent", "oidc-gen", "oidc-add") if shutil.which(name) is None]:
        yield ROW.without(f"{missing[0]} is not installed (apt install oidc-agent-cli)")
        return
    with servers(bench) as (here, _, _, asked), _agent(here.folder) as agent:
        if isinstance(agent, LeftOut):
            yield agent
            return
        ours = str(here.machine.socket)
        theirs = bench.floors.file("agent.request", REQUEST)
        answer = bench.floors.load(agent, theirs, "close", ms=60_000, count=1)
        if answer.bytes < 100:
            yield ROW.without("oidc-agent did not hand out its token")
            return
        load = partial(bench.floors.load, ms=bench.plan.burst)
        other, each, kept = interleaved(
            bench.plan.bursts,
            lambda: load(agent, theirs, "close", connections=1).rate,
            lambda: load(ours, asked, "once", connections=1).rate,
            lambda: load(ours, asked, "frame", connections=16).rate,
        )
        name = "oidc-agent, which serves one after the other"
        yield ROW.line("tokens a second, 16 kept connections", kept, name, other, "/s", goals.AGENT)
        yield ROW.line("tokens a second, a connection for each", each, name, other, "/s")


@contextmanager
def _agent(folder: Path) -> Iterator[str | LeftOut]:
    """Its socket, with an account loaded whose token lives for an hour."""
    socket = folder / "agent.sock"
    home = folder / "agent"
    home.mkdir()
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "OIDC_ENCRYPTION_PW": "pw", "OIDC_SOCK": str(socket)}
    with _issuer() as issuer:
        (home / ".config/oidc-agent").mkdir(parents=True, mode=0o700)
        (home / f".config/oidc-agent/{ACCOUNT}").write_text(json.dumps(_config(issuer)))
        words = ["oidc-agent", "--no-autoload", "--json", "-a", str(socket)]
        subprocess.run(["oidc-gen", "-u", ACCOUNT, "--pw-env"], env=environ, check=True, capture_output=True)
        said = folder / "agent.json"
        with said.open("wb") as out:  # a pipe would be held open by what it leaves behind
            subprocess.run(words, env=environ, check=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        until(lambda: said.read_bytes().strip().endswith(b"}"), "oidc-agent says who it is")  # after its parent's end
        pid = int(json.loads(said.read_bytes())["dpid"])
        try:
            pin(pid, BACK)
            added = subprocess.run(
                ["oidc-add", "--pw-env", ACCOUNT], env=environ, check=False, capture_output=True, text=True
            )
            yield LeftOut(ROW.name, f"oidc-add: {added.stderr.strip()[:200]}") if added.returncode else str(socket)
        finally:
            subprocess.run(
                ["oidc-agent", "-k"], env=environ | {"OIDCD_PID": str(pid)}, check=False, capture_output=True
            )


def _config(issuer: str) -> dict[str, object]:
    """As `oidc-gen -p` shows one."""
    empty = ("config_endpoint", "device_authorization_endpoint", "cert_path", "audience", "username", "password")
    return dict.fromkeys(empty, "") | {
        "name": ACCOUNT,
        "client_name": "oidc-agent:bench",
        "issuer_url": f"{issuer}/",
        "daeSetByUser": 0,
        "client_id": "bench",
        "client_secret": "secret",
        "refresh_token": "rt-of-the-agent",
        "scope": "openid offline_access",
        "oauth": 0,
        "redirect_uris": ["http://localhost:4242"],
    }


@contextmanager
def _issuer() -> Iterator[str]:
    """As much of a provider as oidc-agent asks for; its own client authentication fails at stricter ones."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Issuer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Issuer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = f"http://{self.headers['Host']}"
        places: dict[str, object] = {
            f"{name}_endpoint": f"{issuer}/{name}" for name in ("authorization", "token", "registration")
        }
        kinds = {"scopes_supported": ["openid", "offline_access"], "response_types_supported": ["code"]}
        grants = {"grant_types_supported": ["authorization_code", "refresh_token"]}
        self._say({"issuer": f"{issuer}/", "jwks_uri": f"{issuer}/jwks"} | places | kinds | grants)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say({"access_token": "at-" + "x" * 60, "token_type": "Bearer", "expires_in": 3600})

    def _say(self, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
