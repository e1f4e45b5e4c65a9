"""Which of the sockets handed over is which, and that each is what its name says."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from aixtivd.errors import SocketFailed
from aixtivd.host import activation, launchd, systemd
from aixtivd.host.activation import Handed, handed_over
from aixtivd.host.succession import Will

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="there launchd is asked")

Maker = Callable[[str], int]


@pytest.fixture
def make(folder: Path) -> Iterator[Maker]:
    """A descriptor that the test gives away: of a Unix socket, or of one that listens on that address."""
    given: list[int] = []

    def made(where: str) -> int:
        family = socket.AF_INET6 if ":" in where else socket.AF_INET if where[0].isdigit() else socket.AF_UNIX
        one = socket.socket(family)
        one.bind(str(folder / where) if family == socket.AF_UNIX else (where, 0))
        one.listen()
        given.append(one.detach())
        return given[-1]

    yield made
    for fd in given:
        if not closed(fd):
            os.close(fd)


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Handed]]:
    """What is made of these names and descriptors."""
    with ExitStack() as open_ones:

        def sort(*pairs: tuple[str, int]) -> Handed:
            monkeypatch.setattr(systemd, "handed_over", lambda environ, pid: pairs)
            found = handed_over({}, os.getpid())
            for one in (found.main, found.gateway, *found.ports):
                if one is not None:
                    open_ones.callback(one.detach)
            return found

        yield sort


def closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def test_each_goes_where_its_name_says_in_whatever_order(handed: Callable[..., Handed], make: Maker) -> None:
    main, claude, four = make("a"), make("b"), make("127.0.0.1")
    found = handed(("claude", four), ("claude", claude), ("aixtiv", main))
    assert found.main
    assert found.gateway
    assert [one.fileno() for one in (found.main, found.gateway, *found.ports)] == [main, claude, four]
    assert found.any


def test_a_port_on_either_loopback_is_the_gateways(handed: Callable[..., Handed], make: Maker) -> None:
    found = handed(("aixtiv", make("a")), ("claude", make("127.0.0.1")), ("claude", make("::1")))
    assert [one.getsockname()[0] for one in found.ports] == ["127.0.0.1", "::1"]
    assert found.gateway is None


@pytest.mark.parametrize("names", [("other", "aixtiv", "x"), ("aixtiv", "", "")])
def test_what_has_another_name_is_closed(handed: Callable[..., Handed], make: Maker, names: tuple[str, ...]) -> None:
    fds = [make(name) for name in "abc"]
    found = handed(*zip(names, fds, strict=True))
    ours = fds[names.index("aixtiv")]
    assert found.main
    assert found.main.fileno() == ours
    assert [closed(fd) for fd in fds] == [fd != ours for fd in fds]


def test_a_lone_one_is_the_main_one_whatever_it_is_called(handed: Callable[..., Handed], make: Maker) -> None:
    """`systemd-socket-activate` gives no name unless told."""
    fd = make("a")
    found = handed(("unknown", fd))
    assert found.main
    assert (found.main.fileno(), found.gateway) == (fd, None)


def test_a_lone_one_of_the_gateway_is_not_the_main_one(handed: Callable[..., Handed], make: Maker) -> None:
    found = handed(("claude", make("a")))
    assert (found.main, found.gateway is None, found.any) == (None, False, True)


def test_of_several_without_a_name_of_ours_none_is_guessed(handed: Callable[..., Handed], make: Maker) -> None:
    with pytest.raises(SocketFailed, match="2 sockets, and not one named aixtiv"):
        handed(("x", make("a")), ("y", make("b")))


@pytest.mark.parametrize("name", ["aixtiv", "claude"])
def test_two_unix_sockets_of_one_name_are_one_too_many(handed: Callable[..., Handed], make: Maker, name: str) -> None:
    with pytest.raises(SocketFailed, match=f"2 Unix sockets named {name}"):
        handed((name, make("a")), (name, make("b")))


def test_the_main_socket_is_never_a_port(handed: Callable[..., Handed], make: Maker) -> None:
    with pytest.raises(SocketFailed, match="a socket aixtiv that is not a Unix socket"):
        handed(("aixtiv", make("127.0.0.1")))


@pytest.mark.parametrize("where", ["0.0.0.0", "::"])
def test_a_port_that_other_machines_can_reach_is_refused(
    handed: Callable[..., Handed], make: Maker, where: str
) -> None:
    with pytest.raises(SocketFailed, match=f"a port on {where}: only 127.0.0.1 and ::1"):
        handed(("aixtiv", make("a")), ("claude", make(where)))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("name", ["aixtiv", "claude"])
def test_a_socket_that_nobody_can_call_is_refused(
    handed: Callable[..., Handed], folder: Path, name: str, kind: socket.SocketKind
) -> None:
    with socket.socket(socket.AF_UNIX, kind) as silent:
        silent.bind(str(folder / "silent"))
        with pytest.raises(SocketFailed, match="on which nobody can call"):
            handed((name, silent.detach()))


def test_what_is_no_socket_is_a_sentence(handed: Callable[..., Handed], folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    with pytest.raises(SocketFailed, match="is not a socket"):
        handed(("aixtiv", fd))
    os.close(fd)


def test_without_a_service_manager_there_is_none() -> None:
    assert not handed_over({}, os.getpid()).any


def test_launchd_is_asked_for_both_names(monkeypatch: pytest.MonkeyPatch, make: Maker) -> None:
    fds = {"aixtiv": (("aixtiv", make("a")),), "claude": (("claude", make("b")), ("claude", make("127.0.0.1")))}
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(launchd, "handed_over", lambda name: fds[name])
    found = activation.handed_over({}, os.getpid())
    monkeypatch.undo()
    assert [one.detach() for one in (found.main, found.gateway, *found.ports) if one] == [
        fd for pairs in fds.values() for _, fd in pairs
    ]


def test_the_port_of_a_ticket_is_apart_from_the_others(handed: Callable[..., Handed], make: Maker) -> None:
    own, other = make("127.0.0.1"), make("127.0.0.1")
    found = handed(("aixtiv", make("a")), ("ticket", own), ("claude", other))
    assert [one.fileno() for one in found.doors] == [own]
    assert [one.fileno() for one in found.ports] == [other]
    found.doors[0].detach()


def test_a_will_is_read_and_is_no_socket(handed: Callable[..., Handed], make: Maker) -> None:
    will = Will(inodes={"aixtiv": (1, 2)}, locked="it was locked on request")
    fd = os.memfd_create("will")
    os.write(fd, msgspec.msgpack.encode(will))
    found = handed(("aixtiv", make("a")), ("will", fd))
    assert found.will == will
    assert closed(fd)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, ""), ({"SYSTEMD_EXEC_PID": "4711"}, "systemd"), ({"SYSTEMD_EXEC_PID": "4712"}, "")],
)
def test_who_started_it_is_known_from_the_environment(environ: dict[str, str], expected: str) -> None:
    """A child of a service has the variable, too, with its parent's number."""
    assert activation.manager(environ, 4711) == expected


def test_a_launchd_job_is_known_by_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert activation.manager({"XPC_SERVICE_NAME": activation.LAUNCHD_LABEL}, 1) == "launchd"
    assert activation.manager({"XPC_SERVICE_NAME": "0"}, 1) == ""
