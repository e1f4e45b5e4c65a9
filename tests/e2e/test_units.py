"""The service for real: systemd's own user manager installs it, starts it in its sandbox, and lets it go again."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from peers.booted import Booted, missing
from peers.machine import Ran
from peers.managers import contents
from peers.ports import free_port
from peers.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(missing()), reason=missing() or "never"),
]

SANDBOX: Final = re.compile("(Private|Protect|Restrict[A-Z]|System|Capability|ProcSubset|NoNew|UMask)")
BUS: Final = "unix:path=/run/user/{}/bus"
LISTED: Final = "--session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames"
KEY: Final = "sk-ant-api03-made-up-for-the-service-test"


@pytest.fixture
def machine(folder: Path) -> Iterator[Booted]:
    with Booted(folder) as machine:
        yield machine


def done(ran: Ran) -> str:
    """Its stdout. It must have succeeded."""
    assert ran.code == 0, ran.err
    return ran.out


def test_a_token_survives_the_life_of_a_service(machine: Booted) -> None:
    done(machine.aixtiv("service", "install"))
    done(machine.aixtiv("api-key", "set", "work", stdin=f"{KEY}\n"))
    assert done(machine.aixtiv("token", "work")) == f"{KEY}\n"
    status = machine.aixtiv("service", "status", "--json").json()
    assert (status["manager"], status["enabled"], status["running"], status["differs"]) == ("systemd", True, True, [])
    # A start by the first call: nothing but the socket is there.
    done(machine.systemctl("stop", "aixtivd.service"))
    asleep = machine.aixtiv("service", "status", "--json").json()
    assert (asleep["running"], asleep["listening"], asleep["version"]) == (False, True, "")
    assert done(machine.aixtiv("token", "work", "--no-start")) == f"{KEY}\n"
    # Another daemon in the same process, as far as systemd can see.
    before = machine.aixtiv("status", "--json").json()
    assert before["manager"] == "systemd"
    done(machine.aixtiv("service", "restart"))
    assert done(machine.aixtiv("token", "work", "--no-start")) == f"{KEY}\n"
    assert machine.aixtiv("service", "status", "--json").json()["pid"] == before["pid"]
    assert done(machine.systemctl("show", "aixtivd.service", "-p", "NRestarts", "--value")) == "0\n"
    # One that dies is started again.
    done(machine.run("kill", "-9", str(before["pid"])))
    until(lambda: machine.aixtiv("status", "--json").json()["pid"] != before["pid"], "systemd starts it again")
    assert done(machine.aixtiv("token", "work", "--no-start")) == f"{KEY}\n"


def test_what_is_installed_is_taken_away_without_a_trace(machine: Booted) -> None:
    before = contents(machine.files)
    done(machine.aixtiv("service", "install"))
    done(machine.aixtiv("service", "uninstall"))
    left = {name for name in contents(machine.files) if not name.startswith(".local")}
    assert left == set(before)
    units = done(machine.systemctl("list-units", "--all", "--plain", "--no-legend", "aixtiv*"))
    assert "loaded" not in units.split()
    assert "does not run" in done(machine.aixtiv("service", "status"))


def test_the_fixed_port_is_on_both_loopbacks_before_the_daemon_is(machine: Booted) -> None:
    port = free_port()
    config = machine.files / ".config/aixtiv/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"[claude]\nport = {port}\n")
    for path in (config, config.parent, config.parent.parent):
        os.chown(path, machine.uid, -1)
    done(machine.aixtiv("service", "install"))
    done(machine.systemctl("stop", "aixtivd.service"))
    for host in ("127.0.0.1", "[::1]"):
        heard = machine.run("curl", "-sS", "--globoff", f"http://{host}:{port}/v1/models")
        assert "authentication_error" in done(heard)
    status = machine.aixtiv("status", "--json", "--no-start").json()
    assert (status["gateway_port"], status["gateway_problem"]) == (port, "")


def test_hooks_and_command_sources_run_within_the_sandbox(machine: Booted) -> None:
    """A shell, a Python, and a Node where there is one: each reads the home, and can write nowhere in it."""
    script = machine.files / "source.sh"
    script.write_text(
        "#!/bin/sh\ncat ~/secret || exit 1\ntouch ~/written 2>/dev/null && exit 2\ntouch /tmp/own || exit 3\n"
        "python3 -c 'import ctypes, ssl' || exit 4\n"
        "if [ -x /usr/bin/node ]; then /usr/bin/node -e 'process.exit(0)' || exit 5; fi\n"
    )
    script.chmod(0o755)
    (machine.files / "secret").write_text("made-up-token-of-a-command\n")
    done(machine.aixtiv("service", "install"))
    ran = machine.aixtiv("login", "mine", "--command", "/home/daemon/source.sh")
    assert ran.code == 0, ran.err
    assert done(machine.aixtiv("token", "mine")) == "made-up-token-of-a-command\n"


def test_where_the_sandbox_cannot_be_built_the_service_runs_without_and_says_so(folder: Path) -> None:
    """A home in /tmp is one that `PrivateTmp=` hides: what then fails is what fails where there are no namespaces."""
    with Booted(folder, home=str(folder / "home")) as machine:
        ran = machine.aixtiv("service", "install")
        done(ran)
        assert "allows a user's service no namespaces" in ran.err
        done(machine.aixtiv("api-key", "set", "work", stdin=f"{KEY}\n"))
        assert done(machine.aixtiv("token", "work")) == f"{KEY}\n"
        assert done(machine.aixtiv("service", "install")) == "the service is installed\n"
        pid = machine.aixtiv("status", "--json").json()["pid"]
        status = done(machine.run("cat", f"/proc/{pid}/status"))
        assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)


@pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus is not installed")
@pytest.mark.parametrize("headless", [False, True])
def test_the_desktop_is_told_from_within_the_sandbox_unless_it_is_headless(machine: Booted, headless: bool) -> None:
    """What the daemon does for a notice, done by another program with the very lines of the unit."""
    done(machine.aixtiv("service", "install", *(["--headless"] if headless else [])))
    assert machine.aixtiv("service", "status", "--json").json()["differs"] == []
    units = machine.files / ".config/systemd/user"
    lines = [line for line in (units / "aixtivd.service").read_text().splitlines() if SANDBOX.match(line)]
    if headless:
        lines += (units / "aixtivd.service.d/headless.conf").read_text().splitlines()
    address = BUS.format(machine.uid)
    probe = [
        "[Service]",
        "Type=oneshot",
        *lines,
        "UnsetEnvironment=",
        f"Environment=DBUS_SESSION_BUS_ADDRESS={address}",
    ]
    (units / "probe.service").write_text("\n".join([*probe, f"ExecStart=/usr/bin/dbus-send {LISTED}"]) + "\n")
    (units / "probe.service").chmod(0o644)
    bus = machine.run("sh", "-c", f"dbus-daemon --session --fork --nopidfile --print-pid --address={address}")
    pid = done(bus).strip()
    try:
        done(machine.systemctl("daemon-reload"))
        assert (machine.systemctl("start", "probe.service").code == 0) is not headless
    finally:
        machine.run("kill", pid)
