"""The units as systemd and launchd read them, and that they agree with the code about names, paths and times."""

import configparser
import json
import os
import plistlib
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from aixtiv_protocol.where import socket_path
from aixtivd import app
from aixtivd.config import load
from aixtivd.gateway import gateway
from aixtivd.host import activation
from peers.presence import command

ROOT = Path(__file__).parents[3]
SERVICE = ROOT / "systemd/aixtivd.service"
SOCKET = ROOT / "systemd/aixtivd.socket"
CLAUDE = ROOT / "systemd/aixtivd-claude.socket"
PLIST = ROOT / f"launchd/{activation.LAUNCHD_LABEL}.plist"


def unit(path: Path) -> configparser.ConfigParser:
    """Of keys that are said several times the last."""
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment, method-assign]  # as configparser's documentation does it
    read.read(path)
    return read


def seconds(said: str) -> int:
    return int(said.removesuffix("s"))


@pytest.fixture
def installed(folder: Path) -> Path:
    """A folder with the units as they are, but for where the program is."""
    for path in (SERVICE, SOCKET, CLAUDE):
        text = path.read_text().replace("%h/.local/bin/", f"{sysconfig.get_path('scripts')}/")
        (folder / path.name).write_text(text)
    return folder


def analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command("systemd-analyze", package="systemd"), "--user", "--man=no", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_systemd_finds_nothing_to_say_about_the_units(installed: Path) -> None:
    verified = analyze(installed, "verify", "./aixtivd.service", "./aixtivd.socket", "./aixtivd-claude.socket")
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_systemd_would_have_something_to_say(installed: Path) -> None:
    """That the test before this one can fail."""
    (installed / "aixtivd.service").write_text(SERVICE.read_text().replace("ProtectClock=", "ProtectClok="))
    assert "Unknown key 'ProtectClok'" in analyze(installed, "verify", "./aixtivd.service").stderr


def test_the_sandbox_is_as_tight_as_the_work_allows(installed: Path) -> None:
    """What is left open is named here: the network, the own user's Unix sockets, reading the home folder."""
    told = analyze(installed, "security", "--offline=true", "--json=short", "./aixtivd.service")
    rows = json.loads(told.stdout)
    left = {row["json_field"] for row in rows if row["set"] is False}
    assert left <= {
        "UserOrDynamicUser",  # offline it takes the unit for root's
        "PrivateNetwork",
        "IPAddressDeny",  # needs privileges that a user's manager has not
        "RestrictAddressFamilies_AF_INET_INET6",
        "RestrictAddressFamilies_AF_UNIX",
        "RestrictAddressFamilies_AF_NETLINK",
        "SystemCallFilter_resources",  # the daemon lowers its own limits
        "ProtectHome",
        "RootDirectoryOrRootImage",
        "DeviceAllow",
        "ProtectProc",  # callers are told apart by their /proc, and in a user namespace it would hide them
        "MemoryDenyWriteExecute",  # hooks and command sources may be programs for Node or Java
    }


def test_the_socket_is_where_the_command_looks_for_it() -> None:
    listens = unit(SOCKET)["Socket"]["ListenStream"]
    environ = {"XDG_RUNTIME_DIR": "/run/user/1"}
    main = socket_path(environ, "/home/x", 1, "linux", lambda _: True)
    assert listens.replace("%t", "/run/user/1") == main
    claude = unit(CLAUDE)["Socket"]["ListenStream"]
    assert claude.replace("%t", "/run/user/1") == str(Path(main).with_name(gateway.SOCKET))


def test_the_socket_is_handed_over_by_the_name_it_is_taken_by() -> None:
    assert unit(SOCKET)["Socket"]["FileDescriptorName"] == activation.NAME
    assert unit(CLAUDE)["Socket"]["FileDescriptorName"] == activation.GATEWAY
    assert unit(CLAUDE)["Socket"]["Service"] == SERVICE.name
    assert list(plistlib.loads(PLIST.read_bytes())["Sockets"]) == [activation.NAME, activation.GATEWAY]


def test_nobody_else_can_reach_the_socket() -> None:
    for path in (SOCKET, CLAUDE):
        read = unit(path)["Socket"]
        assert (read["SocketMode"], read["DirectoryMode"]) == ("0600", "0700")


def test_the_service_does_not_touch_the_sockets_folder_or_make_a_second_store() -> None:
    """RuntimeDirectory= would reset the folder to 0755; a user's StateDirectory= lies in ~/.config (systemd 252)."""
    assert not {"RuntimeDirectory", "StateDirectory"} & set(unit(SERVICE)["Service"])


def test_the_folder_that_can_be_written_is_made_before() -> None:
    """systemd refuses to start a service whose ReadWritePaths= are not there."""
    lines = re.findall(r"^ReadWritePaths=(.*)$", SERVICE.read_text(), re.MULTILINE)
    (writable,) = [path for path in lines if not path.startswith("-")]  # those may be missing
    assert writable == "%h/.local/state/aixtiv"
    assert unit(SOCKET)["Socket"]["ExecStartPre"] == f"/bin/mkdir -p -m 0700 {writable}"
    assert unit(SERVICE)["Unit"]["Requires"] == SOCKET.name
    assert unit(SERVICE)["Unit"]["After"] == f"{SOCKET.name} {CLAUDE.name}"


def test_the_service_manager_waits_longer_than_the_daemon_does(folder: Path) -> None:
    config = folder / "config.toml"
    config.write_text("[refresh]\ntimeout = 300")
    longest = app.patience(load(config))
    assert longest == app.LONGEST_STOP
    assert seconds(unit(SERVICE)["Service"]["TimeoutStopSec"]) > longest
    assert plistlib.loads(PLIST.read_bytes())["ExitTimeOut"] > longest


def test_a_daemon_that_refuses_to_start_is_not_started_again_and_again() -> None:
    assert unit(SERVICE)["Service"]["RestartPreventExitStatus"] == "1 64"


def test_the_launchd_job_is_complete_once_the_home_folder_is_put_in() -> None:
    home = "/Users/x"
    job = plistlib.loads(PLIST.read_text().replace("@HOME@", home).encode())
    assert job["Label"] == activation.LAUNCHD_LABEL
    assert job["ProgramArguments"] == [f"{home}/.local/bin/aixtivd"]
    taken = job["Sockets"][activation.NAME]
    assert taken["SockPathName"] == socket_path({}, home, 501, "darwin", lambda _: True)
    assert (taken["SockPathMode"], job["Umask"]) == (0o600, 0o077)
    (claude,) = job["Sockets"][activation.GATEWAY]
    assert claude["SockPathName"] == str(Path(taken["SockPathName"]).with_name(gateway.SOCKET))
    assert claude["SockPathMode"] == 0o600
    assert job["HardResourceLimits"]["Core"] == 0
    assert not re.search("~|@", json.dumps(job)), "launchd expands nothing in paths"


def test_everything_launchd_is_told_is_in_its_manual() -> None:
    """launchd.plist(5) of macOS 15, as far as it is used here: a misspelt key is ignored without a word."""
    assert set(plistlib.loads(PLIST.read_bytes())) <= {
        "Label",
        "ProgramArguments",
        "Sockets",
        "RunAtLoad",
        "KeepAlive",
        "ExitTimeOut",
        "Umask",
        "HardResourceLimits",
        "SoftResourceLimits",
        "StandardErrorPath",
    }
