"""A daemon that becomes the one that is installed: nobody who calls meanwhile is refused, and nothing is lost."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM
from typing import Self

import pytest

from aixtiv.client import Client
from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret
from peers.authority import weather as skies
from peers.authority.process import Running, authorization_server
from peers.machine import PATIENCE, SCRIPTS, Conversation, Machine
from peers.person import visit
from peers.waiting import until

Ask = Callable[[], None]
Way = Callable[[ExitStack], Ask]

KEY = "a-key-that-is-static"


@pytest.fixture
def keyed(machine: Machine) -> Machine:
    """With an API key as its only account, `x`."""
    assert isinstance(machine.ask(requests.ApiKey(account="x", key=Secret(KEY))), replies.Account)
    return machine


def restart(machine: Machine, starts: int = 2) -> replies.Done:
    """Returns when the next daemon serves, the `starts`-th of this machine."""
    with Client(str(machine.socket)) as client:
        done = client.restart()
    until(lambda: len(machine.logged("ready")) == starts, "the next daemon serves")
    return done


def wrapper(machine: Machine, version: str) -> Path:
    """An `aixtivd` of another version: the real one, which believes it is."""
    program = machine.home / "bin/aixtivd"
    program.parent.mkdir(exist_ok=True)
    new = program.with_suffix(".new")
    new.write_text(
        f"#!{sys.executable}\nimport aixtiv_protocol\naixtiv_protocol.VERSION = {version!r}\n"
        "from aixtivd.app import main\nmain()\n"
    )
    new.chmod(0o700)
    return new.rename(program)  # as an upgrade puts it there: at once


def spawn(machine: Machine, program: Path, **environ: str) -> None:
    with machine.log_file.open("ab") as log:
        machine.daemon = subprocess.Popen(
            [program], env=machine.environ | environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    until(machine.answers, "the daemon listens")


class Load:
    """Callers who ask again and again, each in a way of its own, until the block is left. Then each has to have been
    answered, right and every time.
    """

    def __init__(self, machine: Machine, kept: int, new: int, raw: int) -> None:
        self._path = str(machine.socket)
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(kept + new + raw)
        ways = [self._keeps] * kept + [self._comes_anew] * new + [self._speaks_the_wire] * raw
        self.answers = [0] * len(ways)
        self._callers = [self._pool.submit(self._call, number, way) for number, way in enumerate(ways)]

    def __enter__(self) -> Self:
        self.grow()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for caller in self._callers:
            caller.result(PATIENCE)
        self._pool.shutdown()

    def grow(self) -> None:
        """Until every caller has been answered anew."""
        before = list(self.answers)

        def grown() -> bool:
            assert not any(caller.done() for caller in self._callers), [
                c.exception() for c in self._callers if c.done()
            ]
            return all(now >= then + 3 for now, then in zip(self.answers, before, strict=True))

        until(grown, "everybody is answered")

    def _call(self, number: int, way: Way) -> None:
        with ExitStack() as kept:
            ask = way(kept)
            while not self._over.is_set():
                ask()
                self.answers[number] += 1
                time.sleep(0.002)  # sixteen callers at full speed would leave the next daemon no processor to start on

    def _keeps(self, kept: ExitStack) -> Ask:
        client = kept.enter_context(Client(self._path))

        def ask() -> None:
            assert client.token("x").access_token.reveal() == KEY
            assert client.hello().version == VERSION

        return ask

    def _comes_anew(self, kept: ExitStack) -> Ask:
        def ask() -> None:
            with Client(self._path) as client:
                assert client.token("x").access_token.reveal() == KEY

        return ask

    def _speaks_the_wire(self, kept: ExitStack) -> Ask:
        """A new connection each time, and no second try."""

        def ask() -> None:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(PATIENCE)
                peer.connect(self._path)
                talk = Conversation(peer)
                talk.say(requests.Token(account="x"))
                reply = talk.hear()
                assert isinstance(reply, replies.AccessToken), reply

        return ask


def test_under_load_no_caller_is_refused_and_no_answer_lost_twice_in_a_row(keyed: Machine) -> None:
    with Load(keyed, kept=6, new=6, raw=4) as load:
        for starts in (2, 3):
            assert restart(keyed, starts).note == f"restarting as aixtivd {VERSION}"
            load.grow()
        assert keyed.run("token", "x").out == f"{KEY}\n"
    assert keyed.logged("defect") == keyed.logged("unhandled") == []
    assert keyed.stop() == 0
    assert not keyed.socket.exists(), "the path is still ours to remove"
    assert not keyed.socket.with_name("claude.sock").exists()


@pytest.fixture
def server() -> Iterator[Running]:
    with authorization_server() as server:
        yield server


def test_a_refresh_in_flight_finishes_first_while_others_are_answered(machine: Machine, server: Running) -> None:
    machine.sign_in(visit, server.login("work"))
    machine.ask(requests.ApiKey(account="x", key=Secret(KEY)))
    server.set_weather(skies.hanging())
    with machine.conversation() as talk:
        talk.say(requests.Refresh(account="work"))
        server.until(hanging=1)
        with Client(str(machine.socket)) as client:
            client.restart()
            assert machine.token("x").access_token.reveal() == KEY, "somebody new, while it waits for the provider"
            assert len(machine.logged("ready")) == 1
        server.release()
        account = talk.hear()
        assert isinstance(account, replies.Account), account
        assert account.generation == 2
    until(lambda: len(machine.logged("ready")) == 2, "the next daemon serves")
    assert machine.token("work").access_token.reveal() == server.newest
    assert (server.refreshes, server.reuses) == (1, 0)


def test_who_waits_for_a_refresh_that_this_daemon_will_not_begin_gets_it_from_the_next(
    machine: Machine, server: Running
) -> None:
    machine.sign_in(visit, server.login("slow"))
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.hanging())
    with machine.conversation() as talk, Client(str(machine.socket)) as waiting, ThreadPoolExecutor() as pool:
        talk.say(requests.Refresh(account="slow"))
        server.until(hanging=1)
        server.tell(access_ttl=7200)
        with Client(str(machine.socket)) as client:
            client.restart()
        until(lambda: machine.logged("restarting"), "the daemon winds down")
        asked = pool.submit(waiting.refresh, "work")
        server.release()
        assert asked.result(PATIENCE).generation == 2
    assert len(machine.logged("ready")) == 2
    assert (server.refreshes, server.reuses) == (2, 0)


def test_another_version_takes_over_and_says_so(folder: Path) -> None:
    with Machine(folder) as machine:
        spawn(machine, wrapper(machine, "0.0.9"))
        pid = machine.pid
        older = machine.run("api-key", "set", "x", stdin=f"{KEY}\n")
        assert older.err.splitlines() == [
            f"aixtiv: the daemon is 0.0.9, and this command {VERSION}",
            "aixtiv: hint: aixtiv service restart",
        ]
        wrapper(machine, "99.1.0")
        assert restart(machine).note == "restarting as aixtivd 99.1.0"
        told = machine.run("status", "--json")
        assert (told.json()["version"], told.json()["pid"]) == ("99.1.0", pid)
        assert told.err.splitlines() == [
            f"aixtiv: the daemon is 99.1.0, and this command {VERSION}",
            "aixtiv: hint: type -a aixtiv",
        ]
        assert machine.run("token", "x").out == f"{KEY}\n"
        assert machine.stop() == 0


def test_what_does_not_start_takes_nobodys_place(folder: Path) -> None:
    with Machine(folder) as machine:
        program = wrapper(machine, VERSION)
        spawn(machine, program)
        program.write_text("#!/bin/sh\nexit 3\n")
        refused = machine.ask(requests.Restart())
        assert isinstance(refused, replies.Failure)
        assert refused.code == "refused"
        assert refused.message == f"{program} ended with status 3, so the daemon stays as it is"
        program.unlink()  # then it is the one beside this Python
        assert restart(machine).note == f"restarting as aixtivd {VERSION}"
        assert machine.stop() == 0


def test_a_vault_that_waits_for_a_person_is_locked_afterwards_and_the_answer_says_so(folder: Path) -> None:
    with Machine(folder) as machine:
        machine.configure('[vault]\nkey = "passphrase"')
        machine.start()
        assert isinstance(machine.ask(requests.Unlock(passphrase=Secret("correct horse"))), replies.Done)
        done = restart(machine)
        assert done.note == f"restarting as aixtivd {VERSION}; the vault is locked then: aixtiv unlock"
        status = machine.ask(requests.Status())
        assert isinstance(status, replies.DaemonStatus)
        assert (status.locked, status.lock_reason) == (True, "it waits for its passphrase")
        assert isinstance(machine.ask(requests.Unlock(passphrase=Secret("correct horse"))), replies.Done)


def test_what_somebody_locked_is_not_opened_by_a_restart(keyed: Machine) -> None:
    keyed.ask(requests.Lock())
    restart(keyed)
    status = keyed.ask(requests.Status())
    assert isinstance(status, replies.DaemonStatus)
    assert (status.locked, status.lock_reason) == (True, "it was locked on request")
    assert isinstance(keyed.ask(requests.Unlock()), replies.Done)
    assert keyed.token("x").access_token.reveal() == KEY


def test_a_ticket_outlives_it_with_its_port_as_long_as_its_holder(keyed: Machine) -> None:
    with subprocess.Popen(
        [SCRIPTS / "aixtiv", "exec", "x", "--", "sh", "-c", 'echo "$AIXTIV_BASE_URL $AIXTIV_TICKET"; read wait'],
        env=keyed.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        url, ticket = child.stdout.readline().split()
        port = int(url.rpartition(":")[2])
        restart(keyed)
        (shown,) = tickets(keyed)
        assert (shown.port, shown.holder) == (port, child.pid)
        assert answered_at(port, ticket) != 401, "it is known there"
        assert answered_at(port, "aixtiv-ticket-none") == 401
        child.communicate("\n", timeout=PATIENCE)
    until(lambda: not tickets(keyed), "the ticket ends with its holder")
    with socket.socket() as peer:
        assert peer.connect_ex(("127.0.0.1", port)) != 0, "and so does its port"


def tickets(machine: Machine) -> tuple[replies.TicketShown, ...]:
    listed = machine.ask(requests.Tickets())
    assert isinstance(listed, replies.TicketList)
    return listed.tickets


def answered_at(port: int, ticket: str) -> int:
    """The status of an answer there, whatever it says."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
        head = f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {ticket}\r\n\r\n"
        peer.sendall(head.encode())
        return int(peer.recv(4096).split()[1])


def test_asked_to_end_meanwhile_it_ends(machine: Machine, server: Running) -> None:
    machine.sign_in(visit, server.login("work"))
    server.set_weather(skies.hanging())
    with machine.conversation() as talk:
        talk.say(requests.Refresh(account="work"))
        server.until(hanging=1)
        machine.ask(requests.Restart())
        machine.signal(SIGTERM)
        machine.ask(requests.Hello())
        server.release()
        assert isinstance(talk.hear(), replies.Account)
    assert machine.ended() == 0
    assert not machine.socket.exists()
    assert len(machine.logged("ready")) == 1


def test_who_watches_hears_of_it_and_the_audit_says_who_asked(keyed: Machine) -> None:
    with keyed.conversation() as watching:
        watching.say(requests.Watch())
        keyed.ask(requests.Hello())
        restart(keyed)
        watching.hear_until("restarting")
        left = watching.hear()
        assert isinstance(left, replies.Failure)
        assert (left.code, left.retry) == ("busy", True)
    records = [json.loads(line) for line in keyed.run("audit", "--json").out.splitlines()]
    assert [record["ok"] for record in records if record["what"] == "restart"] == [True]


def test_the_service_manager_goes_on_being_told(keyed: Machine, folder: Path) -> None:
    keyed.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(PATIENCE)
        keyed.start(NOTIFY_SOCKET=str(folder / "notify"), WATCHDOG_USEC="600000000", WATCHDOG_PID="")
        pid = keyed.pid
        told = [manager.recv(4096).split(b"\n")[0]]
        keyed.ask(requests.Restart())
        while told[-2:] != [b"STATUS=restarting", b"READY=1"]:
            told += [
                word
                for word in manager.recv(4096).split(b"\n")
                if word in {b"READY=1", b"STATUS=restarting", b"STOPPING=1"}
            ]
        assert told == [b"READY=1", b"STATUS=restarting", b"READY=1"]
        status = keyed.ask(requests.Status())
        assert isinstance(status, replies.DaemonStatus)
        assert status.pid == pid
