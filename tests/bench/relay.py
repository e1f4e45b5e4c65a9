"""The relay between a load and an upstream in C, beside proxies: nginx, aiohttp's smallest, bare bytes."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Final

from bench import goals
from bench.bench import Bench
from bench.floors import PATIENCE, PROGRAMS, Loaded, Shape, serving
from bench.goals import Goal
from bench.measuring import BACK, FRONT, Series, interleaved, on, processor
from bench.table import LeftOut, Line, Row
from bench.world import world
from peers.authority.process import authorization_server
from peers.waiting import until

ROW: Final = Row("relay")
AIOHTTP: Final = "a 30-line aiohttp proxy"
RAW: Final = "a 45-line Protocol that passes bytes"
NGINX: Final = "nginx"
DIRECT: Final = "nothing between"
OURS: Final = "ours"

_NGINX: Final = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream api {{ server 127.0.0.1:{port}; keepalive 256; keepalive_requests 1000000; }}
  server {{
    listen unix:{folder}/nginx.sock;
    location / {{
      proxy_pass http://api; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; proxy_set_header Authorization "Bearer at-of-the-account";
    }}
  }}
}}
"""

Targets = dict[str, str]  # who stands between -> Unix socket, or port
Pids = dict[str, int]


def rows(bench: Bench) -> Iterator[Line | LeftOut]:
    if bench.floors.missing:
        yield ROW.without(bench.floors.missing)
        return
    if shutil.which("nginx") is None:
        yield ROW.without("nginx is not installed")
    yield from _on_one_core(bench)
    if FRONT == BACK:
        yield ROW.without("throughput: there is one core only")
        return
    yield from _on_two_cores(bench)


def _on_one_core(bench: Bench) -> Iterator[Line]:
    """Whoever stands between costs what the answer comes later: there is nobody else to do the work."""
    with _between(bench, upstream=BACK) as (targets, _):
        load = partial(_load, bench, core=BACK)
        p50 = _each(bench, targets, lambda at: load(at, "json", "http", ms=bench.plan.burst).p50)
        yield from _added(p50)
        delays = _each(bench, targets, lambda at: load(at, "paced", "events", ms=60_000, count=1).p50)
        yield from _compared("delay of an event, one core", delays, "µs", goals.RELAY)


def _on_two_cores(bench: Bench) -> Iterator[Line]:
    with _between(bench, upstream=FRONT) as (targets, pids):
        load = partial(_load, bench, core=FRONT)

        def cost(who: str) -> float:
            before = processor(pids[who])
            seen = load(targets[who], "json", "http", connections=64, ms=2 * bench.plan.burst)
            return (processor(pids[who]) - before) / seen.answers * 1e6

        costs = _each(bench, {who: who for who in pids}, cost)
        yield from _compared("processor time of a call, all threads, 64 connections", costs, "µs")
        rates = _each(bench, targets, lambda at: load(at, "json", "http", connections=64, ms=2 * bench.plan.burst).rate)
        yield from _compared("64 connections", rates, "/s", goals.RELAY_RATE)

        def megabytes(at: str) -> float:
            seen = load(at, "burst", "http", connections=8, ms=2 * bench.plan.burst)
            return seen.bytes / seen.seconds / 1e6

        yield from _compared("8 streams of events", _each(bench, targets, megabytes), "MB/s", goals.RELAY_RATE)


def _added(p50: dict[str, Series]) -> Iterator[Line]:
    direct = p50.pop(DIRECT)
    added = {name: series.less(direct) for name, series in p50.items()}
    path = "added to one sequential call, one core"
    yield from _compared(path, added, "µs", goals.RELAY)
    yield ROW.line(f"{path}: the stretch", added[OURS], AIOHTTP, added[AIOHTTP], "µs", goals.STRETCH)
    yield ROW.line("the call itself, one core", p50[OURS], DIRECT, direct, "µs")


def _compared(path: str, seen: dict[str, Series], unit: str, goal: Goal | None = None) -> Iterator[Line]:
    """The goal is aiohttp's; the others stand beside it."""
    for name, series in seen.items():
        if name != OURS:
            yield ROW.line(path, seen[OURS], name, series, unit, goal if name == AIOHTTP else None)


def _each(bench: Bench, targets: Targets, measured: Callable[[str], float]) -> dict[str, Series]:
    seen = interleaved(bench.plan.bursts, *(partial(measured, at) for at in targets.values()))
    return dict(zip(targets, seen, strict=True))


def _load(
    bench: Bench, at: str, how: str, shape: Shape, *, core: int, connections: int = 1, ms: int, count: int = 0
) -> Loaded:
    messages = [{"role": "user", "content": f"{how}: " + "what is a ticket? " * 20}]
    body = json.dumps({"model": "claude-sonnet-4-6", "max_tokens": 400, "messages": messages}).encode()
    head = (
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n"
        "anthropic-version: 2023-06-01\r\nContent-Type: application/json\r\nAccept-Encoding: gzip, deflate\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    request = bench.floors.file(f"{how}.request", head.encode() + body)
    return bench.floors.load(at, request, shape, connections=connections, ms=ms, count=count, core=core)


@contextmanager
def _between(bench: Bench, upstream: int) -> Iterator[tuple[Targets, Pids]]:
    """Everybody who can stand between, on the core of those who are asked. `upstream`: the core behind them."""
    pids: Pids = {}
    with ExitStack() as stack:
        port = stack.enter_context(serving([bench.floors.program("upstream")], upstream)).said
        server = stack.enter_context(authorization_server("--claude"))
        config = f'[api.anthropic]\norigin = "http://127.0.0.1:{port}"\n'
        here = stack.enter_context(world(bench.installed.scripts, config))
        here.started().sign_in(server)
        here.again()
        targets = {DIRECT: port}
        for name, program in ((RAW, "raw"), (AIOHTTP, "proxy")):
            targets[name] = str(here.folder / f"{program}.sock")
            words = [bench.installed.python, str(PROGRAMS / f"{program}.py"), targets[name], port]
            pids[name] = stack.enter_context(serving(words, BACK)).pid
        if nginx := shutil.which("nginx"):
            targets[NGINX], pids[NGINX] = stack.enter_context(_nginx(nginx, here.folder, port))
        yield targets | {OURS: here.gateway}, pids | {OURS: here.machine.pid}


@contextmanager
def _nginx(program: str, folder: Path, port: str) -> Iterator[tuple[str, int]]:
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port))
    with on(BACK):
        process = Popen([program, "-p", str(folder), "-c", str(config)], stdin=DEVNULL)
    with process:
        try:
            socket = folder / "nginx.sock"
            until(socket.exists, "nginx listens")
            yield str(socket), process.pid
        finally:
            process.terminate()
            process.wait(PATIENCE)
