"""`nc -U` in line mode, as a shell script asks for a token; beside it the same command at a server in C."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Final

from bench import goals
from bench.bench import Bench
from bench.floors import serving
from bench.measuring import BACK, duration, interleaved, on
from bench.table import LeftOut, Line, Row
from bench.world import ACCOUNT, world
from peers.authority.process import authorization_server

ROW: Final = Row("lines")
REQUEST: Final = f'{{"op":"token","account":"{ACCOUNT}","form":"bare"}}\n'.encode()


def rows(bench: Bench) -> Iterator[Line | LeftOut]:
    netcat = shutil.which("nc")
    if why := bench.floors.missing or _without(netcat):
        yield ROW.without(why)
        return
    assert netcat
    with authorization_server("--claude") as server, world(bench.installed.scripts) as here:
        here.started().sign_in(server)
        asked = bench.floors.file("line.request", REQUEST)
        answer = bench.floors.file("line.answer", here.heard(REQUEST))
        path = str(here.folder / "constant.sock")
        environ = here.machine.environ
        with serving([bench.floors.program("constant"), path, answer], BACK), on(BACK):
            theirs, ours = interleaved(
                bench.plan.starts * 2,
                partial(_taken, [netcat, "-N", "-U", path], environ, asked),
                partial(_taken, [netcat, "-N", "-U", str(here.machine.socket)], environ, asked),
            )
        yield ROW.line("nc -N -U, a line", ours, "the same at a C server", theirs, "ms", goals.LINES)


def _taken(words: list[str], environ: dict[str, str], stdin: str) -> float:
    return duration(words, environ, stdin) * 1000


def _without(netcat: str | None) -> str:
    if netcat is None:
        return "nc is not installed (apt install netcat-openbsd)"
    told = subprocess.run([netcat, "-h"], capture_output=True, text=True, check=False)
    return "" if "-N" in told.stdout + told.stderr else "this nc has no -N (apt install netcat-openbsd)"
