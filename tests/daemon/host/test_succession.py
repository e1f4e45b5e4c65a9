"""What one daemon leaves to the next: found, tried beforehand, written down, and read by whoever comes."""

import errno
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from aixtivd.errors import BadConfig, NotReplaced
from aixtivd.host import activation
from aixtivd.host.farewell import give_up
from aixtivd.host.succession import UNREADABLE, Left, Successor, Will, become, read, successor, tried

WILL = Will(inodes={"aixtiv": (1, 2)}, fixed=(8787,), doors={4000: "t1"}, tickets=(b"one",), locked="it was locked")


@pytest.fixture
def program(folder: Path) -> Callable[[str], str]:
    """A script by the name of the daemon."""

    def made(script: str) -> str:
        path = folder / "aixtivd"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return str(path)

    return made


def test_the_name_by_which_it_was_called_counts_and_no_link_is_followed(
    folder: Path, program: Callable[[str], str]
) -> None:
    """An upgrade changes where the link leads."""
    real = program("true")
    link = folder / "aixtivd-link"
    link.symlink_to(real)
    assert successor(str(link), ["--config", "x"]) == (str(link), "--config", "x")


def test_called_otherwise_it_is_the_one_beside_this_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert successor("-c", []) == (str(Path(sys.executable).parent / "aixtivd"),)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    with pytest.raises(NotReplaced) as refused:
        successor(str(folder / "aixtivd"), [])
    assert refused.value.sentence == f"there is no aixtivd at {folder / 'aixtivd'} any more"
    assert refused.value.hint == "pipx reinstall aixtiv"


async def test_it_is_asked_its_version_and_whether_it_takes_the_config(program: Callable[[str], str]) -> None:
    path = program('[ "$1" = --version ] && echo aixtivd 2.0 && exit; [ "$1 $2" = "--config x" ]')
    assert await tried((path, "--config", "x")) == "2.0"
    with pytest.raises(BadConfig) as refused:
        await tried((path, "--config", "y"))
    assert refused.value.sentence == "aixtivd 2.0 does not take the config, so the daemon stays as it is"
    assert refused.value.hint == "aixtiv config check"


async def test_it_is_asked_whether_it_knows_the_store(program: Callable[[str], str]) -> None:
    for status, refused in ((0, False), (64, False), (1, True)):
        path = program(f"case $1 in --version) echo aixtivd 2.0;; --check-store) exit {status};; esac")
        if not refused:
            assert await tried((path,)) == "2.0", "64: too old to know the question"
            continue
        with pytest.raises(NotReplaced) as failure:
            await tried((path,))
        assert failure.value.sentence == "aixtivd 2.0 does not take the store, so the daemon stays as it is"
        assert failure.value.hint == f"{path} --check-store"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("exit 7", "{} ended with status 7, so the daemon stays as it is"),
        ("echo hello", "{} is no aixtivd, so the daemon stays as it is"),
        ("echo aixtivd", "{} is no aixtivd, so the daemon stays as it is"),
        ("printf 'aixtivd \\033[2J'", "{} is no aixtivd, so the daemon stays as it is"),
    ],
)
async def test_what_is_no_daemon_is_a_sentence(program: Callable[[str], str], script: str, sentence: str) -> None:
    path = program(script)
    with pytest.raises(NotReplaced) as refused:
        await tried((path,))
    assert (refused.value.sentence, refused.value.hint) == (sentence.format(path), f"{path} --version")


async def test_it_is_tried_without_what_the_manager_said_and_without_secrets(
    program: Callable[[str], str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("GITHUB_TOKEN", "hunter2")
    await tried((program(f"env >> {folder / 'seen'}; echo aixtivd 1"),))
    seen = (folder / "seen").read_text()
    assert "PATH=" in seen
    assert "NOTIFY_SOCKET" not in seen
    assert "hunter2" not in seen


def written(data: bytes) -> int:
    fd = os.memfd_create("will") if sys.platform == "linux" else os.open("/dev/null", os.O_RDWR)
    os.write(fd, data)
    return fd


@pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2)")
@pytest.mark.parametrize(
    ("data", "will"),
    [
        (msgspec.msgpack.encode(WILL), WILL),
        (msgspec.msgpack.encode({"locked": "why", "what a later one adds": 1}), Will(locked="why")),
        (b"\xc1", Will(locked=UNREADABLE)),
        (b"", Will(locked=UNREADABLE)),
        (msgspec.msgpack.encode({"doors": "none"}), Will(locked=UNREADABLE)),
        (msgspec.msgpack.encode(Will(tickets=(bytes(9 << 20),))), Will(locked=UNREADABLE)),
    ],
)
def test_a_will_of_any_version_is_read_as_far_as_it_goes(data: bytes, will: Will) -> None:
    fd = written(data)
    assert read(fd) == will
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


AFTERWARDS = """
import os, socket, sys
sys.path[:0] = {path!r}
from aixtivd.host.activation import handed_over
found = handed_over(os.environ, os.getpid())
print([one.getsockname() for one in (found.main, found.gateway, *found.ports)], found.will.locked)
print([one.getsockname() for one in found.doors])
print(found.will.inodes, found.will.doors, os.environ["NOTIFY_SOCKET"], "LISTEN_FDS" in os.environ)
print([fd for fd in range(3, 99) if os.path.exists(f"/proc/self/fd/{{fd}}")])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's /proc")
def test_the_process_goes_on_with_every_socket_where_it_belongs(folder: Path) -> None:
    """In a child, since this process would become it. The sockets stand just where the copies have to go.

    More of them than any unit hands over; one that was closed meanwhile is no more left than its name.
    """
    listening = []
    for where in ("a", "b"):
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(folder / where))
        listening.append(one)
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(70)]
    for one in listening:
        one.listen()
    names = (activation.NAME, activation.GATEWAY, activation.GATEWAY, *[activation.TICKET] * 70)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        lefts = tuple(
            Left(name, one) for name, one in zip(names, [*listening, ports[0], closed, *ports[1:]], strict=True)
        )
    script = AFTERWARDS.format(path=sys.path)
    heir = Successor((sys.executable, "-c", script), lefts, WILL, {"NOTIFY_SOCKET": "/run/notify"})
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest's may run here
        try:
            os.dup2(write_end, 1)
            become(heir, {"PATH": os.environ["PATH"]})
        finally:
            os._exit(99)
    os.close(write_end)
    with open(read_end) as pipe:  # noqa: PTH123  # a descriptor
        sockets, doors, rest, fds = pipe.read().splitlines()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sockets == f"{[str(folder / 'a'), str(folder / 'b'), ports[0].getsockname()]} it was locked"
    assert doors == str([one.getsockname() for one in ports[1:]])
    assert rest == "{'aixtiv': (1, 2)} {4000: 't1'} /run/notify False"
    assert fds == str(list(range(3, 3 + 2 + 70))), "the will is closed, and no copy was left"
    for one in (*listening, *ports):
        one.close()


def test_what_cannot_be_executed_is_a_failure_with_its_own_exit_status(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "dup2", lambda fd, place: None)
    heir = Successor((str(folder / "aixtivd"),), (), Will(), {})
    with pytest.raises(NotReplaced) as failed:
        become(heir, {})
    assert failed.value.sentence == f"{folder / 'aixtivd'} cannot be executed: No such file or directory"

    assert give_up(ExceptionGroup("", [failed.value])) == 71
    assert capsys.readouterr().err == f"aixtivd: error: {failed.value.sentence}\n"


def test_without_a_descriptor_left_that_is_a_failure_with_its_own_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "of the kernel")

    monkeypatch.setattr(os, "memfd_create", none_left, raising=False)
    monkeypatch.setattr(os, "dup", none_left)
    with pytest.raises(NotReplaced) as failed:
        become(Successor(("aixtivd",), (), Will(), {}), {})
    assert failed.value.sentence == "the sockets cannot be handed over: Too many open files"

    assert give_up(ExceptionGroup("", [failed.value])) == 71
    assert capsys.readouterr().err == f"aixtivd: error: {failed.value.sentence}\n"
