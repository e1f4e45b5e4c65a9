"""The client's end of `aixtiv mcp`: lines of JSON-RPC, each looked at, so that nothing else stands on its stdout."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from peers.machine import PATIENCE, Machine

BROWSER: Final = "curl --silent --location --max-time 30 %s"  # says yes to everything, for a server that asks nothing
VERSION: Final = "2025-11-25"

Message = dict[str, Any]


class Bridge:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._ids = count(1)
        self.others: Final[list[Message]] = []  # that came beside the answers

    def initialize(self) -> Message:
        """The answer, and the client's word that it has it."""
        client = {"name": "tests", "version": "1"}
        answer = self.ask("initialize", protocolVersion=VERSION, capabilities={}, clientInfo=client)
        if "result" in answer:
            self.tell("notifications/initialized")
        return answer

    def ask(self, method: str, **params: Any) -> Message:
        """The answer to that request. Raises EOFError where the bridge has ended instead."""
        return self.answer(self.send(method, **params))

    def call(self, **arguments: Any) -> Message:
        return self.ask("tools/call", name="echo", arguments=arguments)

    def send(self, method: str, **params: Any) -> int:
        id_ = next(self._ids)
        self._write({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})
        return id_

    def tell(self, method: str, **params: Any) -> None:
        self._write({"jsonrpc": "2.0", "method": method, "params": params})

    def answer(self, asked: int) -> Message:
        """What answers it; or the error of a message that was not understood, which names no request."""
        while (message := self.hear()).get("id", asked) not in (asked, None) or "method" in message:
            self.others.append(message)
        return message

    def hear(self) -> Message:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise EOFError(f"the bridge ended: {self._process.stderr and self._process.stderr.read()}")
        message: Message = json.loads(line)
        assert message["jsonrpc"] == "2.0", line
        return message

    def _write(self, message: Message) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def peak(self) -> int:
        """The most memory it ever had, in MiB."""
        return peak(self._process.pid)

    def end(self) -> tuple[str, str, int]:
        """As a client ends it, by closing its stdin: what it still said, on both streams, and its exit status."""
        out, err = self._process.communicate(timeout=PATIENCE)
        return out, err, self._process.returncode


def peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024


@contextmanager
def bridge(machine: Machine, *server: str, browser: str = BROWSER) -> Iterator[Bridge]:
    """`aixtiv mcp SERVER` for the length of the block."""
    with machine.running("mcp", *server, BROWSER=browser) as process:
        yield Bridge(process)
