"""Tokens over connections that are kept: one at a time on one core, and as many a second as go through."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from bench import goals
from bench.bench import Bench
from bench.floors import PROGRAMS, Loaded, serving
from bench.measuring import BACK, FRONT, Series, interleaved, processor
from bench.table import LeftOut, Line, Row
from bench.world import World, token_request, world
from peers.authority.process import authorization_server

KEPT: Final = Row("kept")
TOKENS: Final = Row("tokens")
ECHO: Final = "an asyncio Protocol on uvloop, same bytes"
IN_C: Final = "epoll in C, same bytes"


@contextmanager
def servers(bench: Bench) -> Iterator[tuple[World, dict[str, str], dict[str, int], str]]:
    """The daemon; sockets and process ids of the two servers that answer the same bytes; the request's file."""
    with authorization_server("--claude") as server, world(bench.installed.scripts) as here:
        here.started().sign_in(server)
        here.again()
        request = token_request()
        asked = bench.floors.file("token.request", request)
        answer = bench.floors.file("token.answer", here.heard(request))
        echo, constant = (str(here.folder / name) for name in ("echo.sock", "constant.sock"))
        python = serving([bench.installed.python, str(PROGRAMS / "echo.py"), echo, answer], BACK)
        with python as first, serving([bench.floors.program("constant"), constant, answer], BACK) as second:
            yield here, {ECHO: echo, IN_C: constant}, {ECHO: first.pid, IN_C: second.pid}, asked


def kept(bench: Bench) -> Iterator[Line | LeftOut]:
    if bench.floors.missing:
        yield KEPT.without(bench.floors.missing)
        return
    with servers(bench) as (here, others, _, asked):

        def p50(target: str) -> float:
            return bench.floors.load(target, asked, "frame", ms=bench.plan.burst, core=BACK).p50

        sockets = (*others.values(), str(here.machine.socket))
        echo, constant, ours = interleaved(bench.plan.bursts, *(partial(p50, each) for each in sockets))
        yield KEPT.line("one token, both ends on one core", ours, ECHO, echo, "µs", goals.KEPT)
        yield KEPT.line("the same", ours, IN_C, constant, "µs")


def tokens(bench: Bench) -> Iterator[Line | LeftOut]:
    if bench.floors.missing:
        yield TOKENS.without(bench.floors.missing)
        return
    if FRONT == BACK:
        yield TOKENS.without("there is one core only: load and server would share it")
        return
    with servers(bench) as (here, others, pids, asked):
        yield from _costs(bench, here, {name: (others[name], pids[name]) for name in others}, asked)
        for connections in (1, 16, 256):
            seen: list[list[Loaded]] = [[], [], []]

            def rate(
                number: int, target: str, connections: int = connections, seen: list[list[Loaded]] = seen
            ) -> float:
                seen[number].append(
                    bench.floors.load(target, asked, "frame", connections=connections, ms=bench.plan.burst)
                )
                return seen[number][-1].rate

            sockets = (*others.values(), str(here.machine.socket))
            echo, constant, ours = interleaved(
                bench.plan.bursts, *(partial(rate, number, each) for number, each in enumerate(sockets))
            )
            many = f"{connections} connection{'s' if connections > 1 else ''}"
            yield TOKENS.line(many, ours, ECHO, echo, "/s", goals.TOKENS)
            yield TOKENS.line(many, ours, IN_C, constant, "/s")
            if connections == 256:
                yield TOKENS.line(f"p99 of {many}", _tail(seen[2]), ECHO, _tail(seen[0]), "µs", goals.TAIL)


def _costs(bench: Bench, here: World, others: dict[str, tuple[str, int]], asked: str) -> Iterator[Line]:
    """What the kernel counts says more than the clock where other programs run beside it."""

    def cost(target: str, pid: int) -> float:
        before = processor(pid)
        seen = bench.floors.load(target, asked, "frame", connections=16, ms=bench.plan.burst)
        return (processor(pid) - before) / seen.answers * 1e6

    theirs = others[ECHO]
    echo, ours = interleaved(
        bench.plan.bursts, partial(cost, *theirs), partial(cost, str(here.machine.socket), here.machine.pid)
    )
    yield TOKENS.line("processor time of one, all threads, 16 connections", ours, ECHO, echo, "µs")


def _tail(seen: list[Loaded]) -> Series:
    return Series(tuple(each.p99 for each in seen[1:]))  # the first was to warm up
