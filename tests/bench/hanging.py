"""A token that is in memory, asked for while another account's refresh gets no answer."""

from collections.abc import Callable, Iterator
from typing import Final

from aixtiv_protocol import requests
from bench import goals
from bench.bench import Bench
from bench.measuring import BACK, interleaved
from bench.table import LeftOut, Line, Row
from bench.world import ACCOUNT, World, token_request, world
from peers.authority.process import Running, authorization_server
from peers.authority.weather import hanging

ROW: Final = Row("hanging")
OTHER: Final = f"{ACCOUNT}/two"


def rows(bench: Bench) -> Iterator[Line | LeftOut]:
    if bench.floors.missing:
        yield ROW.without(bench.floors.missing)
        return
    with authorization_server("--claude") as server, world(bench.installed.scripts) as here:
        here.started().sign_in(server)
        here.sign_in(server, OTHER)
        asked = bench.floors.file("token.request", token_request())

        def p99() -> float:
            return bench.floors.load(str(here.machine.socket), asked, "frame", ms=2 * bench.plan.burst, core=BACK).p99

        calm, beside = interleaved(bench.plan.bursts, p99, lambda: _while_it_hangs(here, server, p99))
        yield ROW.line(
            "p99 of a cached token while another's refresh hangs",
            beside,
            "nothing refreshing",
            calm,
            "µs",
            goals.HANGING,
        )


def _while_it_hangs(here: World, server: Running, measured: Callable[[], float]) -> float:
    server.set_weather(hanging())
    with here.machine.conversation() as talk:
        talk.say(requests.Refresh(account=OTHER))
        server.until(hanging=1)
        seen = measured()
        server.release()
        talk.hear()
    return seen
