"""Where errors are run into: a daemon on a machine, an authorization server, and what the client makes of refusals."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from aixtiv import failures
from aixtiv_protocol import replies, requests
from aixtiv_protocol.secret import Secret
from peers import person
from peers.authority.process import Running
from peers.machine import Machine, Ran

QUIET: Final = '[vault]\nkey = "file"\n'


class Scene(Struct, frozen=True):
    """A machine whose daemon runs, an authorization server, and a folder for a second machine."""

    machine: Machine
    server: Running
    spare: Path
    names: set[str]  # of the accounts there are

    def signed_in(self, name: str) -> str:
        if name not in self.names:
            self.machine.sign_in(person.sign_in, self.server.login(name))
            self.names.add(name)
        return name

    def asked(self, request: requests.Request) -> failures.AixtivError:
        """What the client makes of the daemon's refusal."""
        return raised(self.machine.ask(request))

    @contextmanager
    def configured(self, toml: str) -> Iterator[None]:
        self.machine.configure(QUIET + toml)
        self.machine.ask(requests.Reload())
        yield
        self.machine.configure(QUIET)
        self.machine.ask(requests.Reload())

    @contextmanager
    def locked(self) -> Iterator[None]:
        assert isinstance(self.machine.ask(requests.Lock()), replies.Done)
        yield
        assert isinstance(self.machine.ask(requests.Unlock()), replies.Done)


def raised(reply: replies.Reply | Secret) -> failures.AixtivError:
    assert isinstance(reply, replies.Failure), reply
    return failures.raised(reply)


def told(ran: Ran, kind: type[failures.AixtivError]) -> failures.AixtivError:
    """What a command of the scene ended with, which has to be of that kind."""
    assert ran.code == kind.exit_status, ran
    said = re.search(r"^aixtiv: error: (.*)\n(?:aixtiv: hint: (.*)\n)?", ran.err, re.MULTILINE)
    return kind(said[1], hint=said[2] or "") if said else kind(ran.err, hint="")
