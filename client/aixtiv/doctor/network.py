"""Ports for sign-ins, a browser to sign in with, and proxies in the way."""

import os
import shutil
import webbrowser
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from aixtiv import environment, ports
from aixtiv.doctor.finding import Finding, fine, skipped, wrong
from aixtiv.doctor.situation import MODELS, Situation
from aixtiv.show import short
from aixtiv.surroundings import recognised

PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_CLIENT_ID: Final = "_OAUTH_CLIENT_ID"


def check_callback_ports(_: Situation) -> Iterator[Finding]:
    """A sign-in binds one port that the system chooses on both loopbacks, since `localhost` may mean either."""
    first, refused = ports.bind("127.0.0.1", 0)
    if first is None:
        why = refused.sentence if refused else ""
        yield wrong("callback-ports", f"no port can be bound on 127.0.0.1: {why}", "ip address show lo")
        return
    with first:
        port = first.getsockname()[1]
        second, refused = ports.bind("::1", port)
    if second:
        second.close()
    if refused and not refused.absent and not refused.taken:  # taken: by chance somebody has just that one there
        yield wrong("callback-ports", f"no port can be bound on ::1: {refused.sentence}", "ip address show lo")
    elif refused and refused.absent:
        yield fine("callback-ports", "a port can be bound on 127.0.0.1; this machine has no ::1")
    else:
        yield fine("callback-ports", "a port can be bound on 127.0.0.1 and ::1")


def check_redirect_port(situation: Situation) -> Iterator[Finding]:
    found = _redirects(situation)
    if not found:
        yield skipped("redirect-port", "no account here has a fixed redirect")
    for port, whose in found.items():
        yield _redirect_port(situation, port, whose)


def _redirect_port(situation: Situation, port: int, whose: str) -> Finding:
    for address in ports.LOOPBACKS:
        why = ports.refusal(address, port)
        if why is None or why.absent:
            continue
        if not why.taken:
            return wrong(
                "redirect-port",
                f"port {port} on {address}, where {whose} comes back to: {why.sentence}",
                ports.who(port),
            )
        holder = ports.holder(port)
        if situation.status and holder.pid == situation.status.pid:
            return fine("redirect-port", f"port {port} is the daemon's: a sign-in is open")
        return wrong(
            "redirect-port", f"{holder} has port {port} on {address}, where {whose} comes back to", ports.who(port)
        )
    return fine("redirect-port", f"port {port} is free for {whose}")


def _redirects(situation: Situation) -> dict[int, str]:
    """Port -> whose sign-in comes back to it: registered addresses on this machine, which cannot be moved."""
    found: dict[int, str] = {}
    for provider in _providers(situation.environ):
        uri = environment.client_settings(situation.environ, provider).settings.redirect_uri
        if port := _loopback_port(uri):
            found.setdefault(port, f"a sign-in to {provider}")
    configured = situation.tables.get("provider")
    for name, table in configured.items() if isinstance(configured, dict) else ():
        if isinstance(table, dict) and (port := _loopback_port(str(table.get("redirect-uri", "")))):
            found.setdefault(port, f"a sign-in to {name}")
    return found


def _providers(environ: Mapping[str, str]) -> list[str]:
    """Those whose client id stands in the environment: from there comes the old command's redirect, too."""
    names = [name.removesuffix(_CLIENT_ID) for name, value in environ.items() if name.endswith(_CLIENT_ID) and value]
    return sorted({"anthropic" if name == "CLAUDE" else name.lower() for name in names})


def _loopback_port(uri: str) -> int:
    try:
        parts = urlsplit(uri)
        port = parts.port or 0
    except ValueError:
        return 0
    return port if parts.hostname in ("localhost", "127.0.0.1", "::1") else 0


def check_browser(situation: Situation) -> Iterator[Finding]:
    environ = situation.environ
    if named := environ.get("BROWSER", ""):
        missing = [line.split()[0] for line in named.split(os.pathsep) if line.strip() and not _runs(line, environ)]
        if missing:
            yield wrong("browser", f"BROWSER names {missing[0]}, which is not there", "unset BROWSER")
        else:
            yield fine("browser", f"sign-ins open {short(named.split()[0])} (BROWSER)")
    elif not (place := recognised(environ, situation.platform)).in_front:
        yield skipped("browser", f"{place.sentence}: a sign-in shows its address, or a code", _without(situation))
    elif found := _browser():
        yield fine("browser", f"sign-ins open {found}")
    else:
        yield wrong("browser", "there is a display and no browser that could be opened", _without(situation))


def _without(situation: Situation) -> str:
    """With an account that waits for a sign-in; with no sign-in here at all, one for an example; else nothing."""
    known = {one.name: one for one in situation.accounts if one.kind == "oauth"}
    if situation.account:
        known = {name: one for name, one in known.items() if name == situation.account}
    waits = [name for name, one in known.items() if one.state == "quarantined"]
    if known and not waits:
        return ""
    return f"aixtiv login {next(iter(waits), situation.account or 'github')} --no-browser"


def _runs(line: str, environ: Mapping[str, str]) -> bool:
    return shutil.which(line.split(maxsplit=1)[0], path=environ.get("PATH")) is not None


def _browser() -> str:
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return ""
    return str(getattr(found, "name", "") or "the system's browser")


def check_proxy(situation: Situation) -> Iterator[Finding]:
    """The daemon reads `[network] proxy` and no environment; tools read the environment and no config."""
    found = shell_proxies(situation.environ)
    if situation.proxy:
        yield _configured(situation)
    elif not found:
        yield fine("proxy", "there is no proxy, neither in this shell nor for the daemon")
    elif situation.relay(MODELS).status:
        yield fine("proxy", f"{' and '.join(found)} is set in this shell; the daemon goes without, and reaches the API")
    else:
        names, file = " and ".join(found), short(str(situation.config))
        sentence = f"{names} is set in this shell, and [network] proxy in {file} is not: the daemon goes without"
        yield wrong("proxy", sentence, f"$EDITOR {situation.config}")


def _configured(situation: Situation) -> Finding:
    parts = urlsplit(situation.proxy)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{host}:{port}"
    if ports.answers(host, port):
        return fine("proxy", f"the daemon's proxy {where} takes connections")
    return wrong(
        "proxy", f"the daemon's proxy {where} takes no connection ([network] proxy)", f"$EDITOR {situation.config}"
    )


def check_no_proxy(situation: Situation) -> Iterator[Finding]:
    """SDKs would send what is meant for the gateway on 127.0.0.1 to the proxy, ticket and all."""
    found = shell_proxies(situation.environ)
    if not found:
        yield skipped("no-proxy", "no proxy is set in this shell")
    elif _spared(situation.environ):
        yield fine("no-proxy", "NO_PROXY spares 127.0.0.1")
    else:
        sentence = (
            f"{' and '.join(found)} is set and NO_PROXY does not spare 127.0.0.1: "
            "tools send to the proxy what is meant for aixtiv"
        )
        yield wrong("no-proxy", sentence, 'export NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"')


def shell_proxies(environ: Mapping[str, str]) -> list[str]:
    """Names of the variables that are set, in either spelling."""
    return [said for name in PROXIES for said in (name, name.lower()) if environ.get(said)]


def _spared(environ: Mapping[str, str]) -> bool:
    """Exactly so: what libraries make of `127.0.0.0/8` or `127.*` differs."""
    said = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(host.strip() in ("*", "127.0.0.1") for host in said.split(","))
