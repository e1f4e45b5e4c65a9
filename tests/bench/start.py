"""The first call after a boot: from the daemon's start, by the socket that somebody holds open for it, to the token."""

import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from bench import goals
from bench.bench import Bench
from bench.idle import HOUR, IMPORTS, seeded
from bench.measuring import BACK, duration, interleaved, on
from bench.table import LeftOut, Line, Row
from bench.world import World, token_request, world
from scale import seeding

ROW: Final = Row("start")

# sd_listen_fds(3): the socket is descriptor 3, and the variables name the process that they are for.
_ACTIVATED: Final = 'exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_FDNAMES=aixtiv LISTEN_PID=$$ exec "$0"'


def rows(bench: Bench) -> Iterator[Line | LeftOut]:
    words = [bench.installed.python, "-c", IMPORTS]
    with world(bench.installed.scripts) as here, on(BACK):
        seeded(here, [time.time() + HOUR], HOUR)
        floor, ours = interleaved(
            bench.plan.slow * 2,
            lambda: duration(words, here.machine.environ) * 1000,
            partial(first_token, here, seeding.name(0)),
        )
    yield ROW.line("by activation to the first token", ours, f'python -c "{IMPORTS}"', floor, "ms", goals.START)


def first_token(here: World, account: str) -> float:
    """Milliseconds. The caller is there before the daemon is, as at a boot."""
    path = here.machine.socket
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as held, socket.socket(socket.AF_UNIX) as caller:
        held.bind(str(path))
        path.chmod(0o600)
        held.listen(16)
        caller.settimeout(60)
        caller.connect(str(path))
        caller.sendall(token_request(account))
        words = ["/bin/sh", "-c", _ACTIVATED, str(here.machine.scripts / "aixtivd")]
        with here.machine.log_file.open("ab") as log:
            began = time.perf_counter()
            daemon = subprocess.Popen(words, env=here.machine.environ, stdin=held.fileno(), stdout=log, stderr=log)
        with daemon:
            answer = caller.recv(65536)
            taken = time.perf_counter() - began
            daemon.terminate()
        if b"at-" not in answer:
            raise RuntimeError(f"no token came: {answer!r} {here.machine.log}")
    return taken * 1000
