"""The units as they come out for a machine: its paths, quoted, in files that systemd and launchd take."""

import os
import plistlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from aixtiv import start
from aixtiv.client import Client
from aixtiv.failures import AixtivError, NotRunning, NotUnderstood
from aixtiv.service import launchd, port, running, units
from aixtiv.service.launchd import Launchd
from aixtiv.service.state import Done, State
from aixtiv_protocol import replies
from peers.machine import SCRIPTS, Machine
from peers.managers import Managers, contents
from peers.presence import command


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> units.Site:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "AIXTIV_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    return units.site({})


def written(site: units.Site, folder: Path) -> Path:
    for path, text in units.systemd(site).items():
        place = folder / path.relative_to(units.systemd_folder())
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


def test_the_site_is_this_installation(here: units.Site, folder: Path) -> None:
    assert (here.program, here.home, here.state) == (str(SCRIPTS / "aixtivd"), folder, folder / ".local/state/aixtiv")
    assert (here.environ, here.port) == ((), 0)


def test_no_template_lacks_what_is_put_in(here: units.Site) -> None:
    """A path that was reworded in systemd/ would silently stay as it is."""
    elsewhere = structs.replace(here, program="/opt/a/aixtivd", state=Path("/srv/state/aixtiv"))
    for path, text in units.systemd(elsewhere).items():
        assert "%h/.local" not in text, path
    texts = "".join(units.systemd(elsewhere).values())
    assert "\nExecStart=/opt/a/aixtivd\n" in texts
    assert "\nReadWritePaths=/srv/state/aixtiv\n" in texts
    assert "\nExecStartPre=/bin/mkdir -p -m 0700 /srv/state/aixtiv\n" in texts


def test_folders_that_were_moved_are_told_to_the_service(
    folder: Path, here: units.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's manager does not have the shell's variables: there would be a second store."""
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    moved = units.site({"XDG_STATE_HOME": "/srv/state", "XDG_CONFIG_HOME": str(folder / ".config")})
    service = units.systemd(moved)[units.systemd_folder() / units.SERVICE]
    assert re.findall("^Environment=(.*)$", service, re.MULTILINE) == ["XDG_STATE_HOME=/srv/state"]
    assert "\nReadWritePaths=/srv/state/aixtiv\n" in service


@pytest.mark.parametrize("name", ["plain", "with blank", "100%", "$HOME", "é"])
def test_systemd_takes_the_units_wherever_the_program_is(here: units.Site, folder: Path, name: str) -> None:
    program = folder / name / "aixtivd"
    program.parent.mkdir()
    program.symlink_to(SCRIPTS / "aixtivd")
    there = structs.replace(here, program=str(program), state=folder / name / "aixtiv", port=27823)
    place = written(there, folder / "units")
    verified = subprocess.run(
        [
            command("systemd-analyze", package="systemd"),
            "--user",
            "--man=no",
            "verify",
            *(f"./{name}" for name in (units.SERVICE, *units.SOCKETS)),
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ['quo"ted', "it's", "back\\slash"])
def test_a_path_that_systemd_takes_in_no_way_is_refused(here: units.Site, name: str) -> None:
    with pytest.raises(AixtivError, match="has a quote or a backslash"):
        units.systemd(structs.replace(here, program=f"/opt/{name}/aixtivd"))


@pytest.mark.parametrize("name", ["no-namespace.conf", "headless.conf"])
def test_systemd_takes_each_drop_in(here: units.Site, folder: Path, name: str) -> None:
    place = written(here, folder / "units")
    (place / f"{units.SERVICE}.d").mkdir()
    (place / f"{units.SERVICE}.d/{name}").write_text(units.template("systemd", name))
    verified = subprocess.run(
        [command("systemd-analyze", package="systemd"), "--user", "--man=no", "verify", f"./{units.SERVICE}"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_the_drop_in_without_namespaces_takes_back_every_line_that_needs_one() -> None:
    opened = units.template("systemd", "no-namespace.conf")
    service = units.template("systemd", units.SERVICE)
    _, mark, rest = service.partition("# From here on the lines need a mount namespace")
    assert mark
    needing = set(re.findall(r"^(\w+)=", rest.partition("[Install]")[0], re.MULTILINE)) - {"AmbientCapabilities"}
    assert needing <= set(re.findall(r"^(\w+)=", opened, re.MULTILINE))


def test_the_score_that_the_unit_states_is_the_one_it_has(here: units.Site, folder: Path) -> None:
    analyze = command("systemd-analyze", package="systemd")
    version = subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("systemd 252 "):
        pytest.skip("the unit states the score of systemd 252")
    told = subprocess.run(
        [analyze, "security", "--user", "--offline=true", "--no-pager", f"./{units.SERVICE}"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
        cwd=written(here, folder / "units"),
        capture_output=True,
        text=True,
        check=False,
    )
    score = re.search(r"Overall exposure level for \S+: (\S+)", told.stdout)
    stated = re.search(r"\(systemd 252\): (\S+)\. ", units.template("systemd", units.SERVICE))
    assert score
    assert stated
    assert score[1] == stated[1]


def test_templates_that_are_missing_are_a_sentence() -> None:
    with pytest.raises(AixtivError, match=r"lacks systemd/none\.conf"):
        units.template("systemd", "none.conf")


# ---- launchd, which is not here


@pytest.fixture
def mac(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Managers]:
    machine = Machine(folder)
    managers = Managers(machine)
    monkeypatch.delenv("AIXTIV_SOCKET", raising=False)
    for name, value in machine.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(start, "unit", lambda: None)
    yield managers
    managers.end()


def test_the_job_has_this_machines_paths_and_its_port(folder: Path) -> None:
    site = units.Site(home=Path("/Users/a & b"), program="/opt/<x>/aixtivd", state=folder, port=27823)
    ((path, text),) = units.launchd(site).items()
    assert path == Path("/Users/a & b/Library/LaunchAgents/io.github.aixtiv.aixtivd.plist")
    job = plistlib.loads(text.encode())
    assert job["ProgramArguments"] == ["/opt/<x>/aixtivd"]
    assert job["Sockets"]["aixtiv"]["SockPathName"] == "/Users/a & b/Library/Caches/aixtiv/aixtiv.sock"
    assert job["Sockets"]["claude"][1] == {
        "SockNodeName": "127.0.0.1",
        "SockServiceName": "27823",
        "SockFamily": "IPv4",
    }
    assert "@HOME@" not in text


def test_launchd_is_asked_in_its_own_words_and_leaves_nothing(mac: Managers, folder: Path) -> None:
    home, job = folder / "home", f"gui/{os.getuid()}/io.github.aixtiv.aixtivd"
    agent = home / "Library/LaunchAgents/io.github.aixtiv.aixtivd.plist"
    agents = Launchd()
    assert agents.install(linger=False, headless=False).note == "installed the service; it starts at login"
    assert mac.asked() == [f"launchctl bootstrap gui/{os.getuid()} {agent}", f"launchctl kickstart {job}"]
    assert agents.install(linger=False, headless=False).note == "the service is installed"
    assert mac.asked() == []
    state = agents.state()
    assert (state.installed, state.running, state.pid, state.differs) == (True, True, mac.pid, ())
    assert agents.stop().note == "stopped; any `aixtiv` starts it again"
    assert (agents.state().listening, mac.pid) == (False, 0)
    assert agents.start().note == "started the daemon's service"
    agent.write_bytes(plistlib.dumps({"Label": "of old"}))
    assert agents.state().differs == (str(agent),)
    agents.install(linger=False, headless=False)
    assert mac.asked() == [
        f"launchctl bootout {job}",
        f"launchctl bootstrap gui/{os.getuid()} {agent}",
        f"launchctl kickstart {job}",
        f"launchctl bootout {job}",
        f"launchctl bootstrap gui/{os.getuid()} {agent}",
        f"launchctl kickstart {job}",
    ]
    assert agents.uninstall().note.startswith("removed the service")
    assert not [name for name in contents(home) if "LaunchAgents" in name]
    assert agents.uninstall().note == "the service is not installed"


@pytest.mark.parametrize(("linger", "headless"), [(True, False), (False, True)])
def test_what_only_systemd_can_do_is_refused(mac: Managers, linger: bool, headless: bool) -> None:
    with pytest.raises(AixtivError, match="are systemd's"):
        Launchd().install(linger=linger, headless=headless)


def test_on_a_mac_without_launchctl_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert launchd.unreachable() == ("launchctl is not on the PATH", "")


def test_on_a_mac_there_is_no_drop_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert port.unit() is None


def test_the_wheel_has_every_template(folder: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(units._CHECKOUT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if "/templates/" in name}
    there = {f"{place}/{file.name}" for place in ("systemd", "launchd") for file in (units._CHECKOUT / place).iterdir()}
    assert names == {f"aixtiv/service/templates/{name}" for name in there}


# ---- a daemon of before


class Manager:
    name = ""

    def __init__(self) -> None:
        self.done: list[str] = []

    def install(self, *, linger: bool, headless: bool) -> Done:
        raise NotImplementedError

    def uninstall(self) -> Done:
        raise NotImplementedError

    def start(self) -> Done:
        self.done.append("start")
        return Done("started")

    def stop(self) -> Done:
        self.done.append("stop")
        return Done("stopped")

    def state(self) -> State:
        raise NotImplementedError

    def log(self, *, lines: int, follow: bool) -> list[str]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("failure", "done", "words"),
    [
        (NotUnderstood("no such request"), ["stop", "start"], "this daemon (0.0.1) cannot hand over to another"),
        (NotRunning(), ["start"], "started"),
    ],
)
def test_a_daemon_that_cannot_hand_over_is_stopped_and_started(
    monkeypatch: pytest.MonkeyPatch, failure: AixtivError, done: list[str], words: str
) -> None:
    status = replies.DaemonStatus(version="0.0.1", pid=7, started_at=1, locked=False)

    def refused(_: Client) -> replies.Done:
        raise failure

    monkeypatch.setattr(Client, "restart", refused)
    monkeypatch.setattr(Client, "status", lambda _: status)
    manager = Manager()
    said: list[str] = []
    assert running.restart(manager, said.append) == ("", status)
    assert manager.done == done
    assert words in said[0]


@pytest.mark.parametrize("value", ["/tmp/x\rExecStartPre=/nonexistent/evil\r#", "/tmp/\udcff"])
def test_a_folder_whose_name_would_be_a_line_of_its_own_makes_no_unit(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", value)
    with pytest.raises(AixtivError, match="no unit can be written"):
        units.site(os.environ)
