"""Service managers that say what they were asked, answer as the real ones do, and start the real daemon."""

import os
from pathlib import Path
from signal import SIGTERM
from typing import Final

from peers.machine import SCRIPTS, Machine

UNITS: Final = ("aixtivd.service", "aixtivd.socket", "aixtivd-claude.socket")

# In a container whose first process reaps nobody, a daemon that ended goes on as a zombie.
_ENDED: Final = """ended() {
  kill -TERM $1 2>/dev/null
  while kill -0 $1 2>/dev/null && ! grep -qs "^State:.Z" /proc/$1/status; do sleep 0.02; done
}"""

# What each of them does with a file for each unit that is active, and one for each that is enabled. Kept to a shell's
# few words, so that it can be read beside systemctl(1).
_SYSTEMCTL: Final = r"""#!/bin/sh
at={at}
{ended}
echo "systemctl $*" >> $at/asked
shift
words=$*
verb=$1; shift
if [ -f $at/unreachable ]; then cat $at/unreachable >&2; exit 1; fi
stop() {{
  rm -f $at/active.$1
  if [ $1 = aixtivd.service ] && [ -f $at/pid ]; then
    ended $(cat $at/pid)
    rm -f $at/pid
  fi
}}
start() {{
  [ -f {units}/$1 ] || {{ echo "Failed to start $1: Unit $1 not found." >&2; exit 5; }}
  if [ $1 = aixtivd.service ] && [ ! -f $at/pid ]; then
    if [ -f $at/refused ] && [ ! -f {units}/aixtivd.service.d/no-namespace.conf ]; then
      cat $at/refused > $at/status
      echo "Job for aixtivd.service failed because the control process exited with error code." >&2; exit 1
    fi
    {aixtivd} >> $at/daemon.log 2>&1 &
    echo $! > $at/pid
  fi
  touch $at/active.$1
}}
case $verb in
show)
  case $words in *--property=Version*) exit 0;; esac
  for unit in {all}; do
    echo "Id=$unit"
    [ -f $at/active.$unit ] && echo ActiveState=active || echo ActiveState=inactive
    [ -f $at/enabled.$unit ] && echo UnitFileState=enabled || echo UnitFileState=disabled
    if [ $unit = aixtivd.service ]; then
      echo "MainPID=$(cat $at/pid 2>/dev/null || echo 0)"
      echo "ExecMainStatus=$(cat $at/status 2>/dev/null || echo 0)"
      [ -f $at/active.$unit ] && echo "ActiveEnterTimestamp=@1700000000" || echo ActiveEnterTimestamp=
    fi
    echo
  done;;
start) for unit in $*; do start $unit; done;;
restart) for unit in $*; do stop $unit; start $unit; done;;
stop) for unit in $*; do stop $unit; done;;
enable)
  for unit in $*; do
    [ -f {units}/$unit ] || {{ echo "Failed to enable unit: Unit file $unit does not exist." >&2; exit 1; }}
    touch $at/enabled.$unit
  done;;
disable) for unit in $*; do rm -f $at/enabled.$unit; done;;
is-active) [ -f $at/active.$1 ];;
esac
"""

_LOGINCTL: Final = r"""#!/bin/sh
echo "loginctl $*" >> {at}/asked
case $* in
*enable-linger*) [ ! -f {at}/forbidden ] && touch {at}/linger;;
*disable-linger*) rm {at}/linger;;
*show-user*) [ -f {at}/linger ] && echo yes || echo no;;
esac
"""

_LAUNCHCTL: Final = r"""#!/bin/sh
at={at}
{ended}
echo "launchctl $*" >> $at/asked
case $1 in
print) [ -f $at/loaded ] || exit 113
  printf '{label} = {{\n'
  [ -f $at/pid ] && printf '\tstate = running\n\tpid = %s\n' $(cat $at/pid) || printf '\tstate = not running\n'
  echo '}}';;
bootstrap) [ -f $at/loaded ] && {{ echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; }}; touch $at/loaded;;
kickstart) [ -f $at/loaded ] || {{ echo "Could not find service" >&2; exit 113; }}
  [ -f $at/pid ] || {{ {aixtivd} >> $at/daemon.log 2>&1 & echo $! > $at/pid; }};;
bootout) rm $at/loaded
  if [ -f $at/pid ]; then
    ended $(cat $at/pid)
    rm $at/pid
  fi;;
esac
"""

_JOURNALCTL: Final = '#!/bin/sh\ncat {at}/journal 2>/dev/null || echo "journalctl $*"\n'


class Managers:
    """Put before the PATH of a machine."""

    def __init__(self, machine: Machine, label: str = "io.github.aixtiv.aixtivd") -> None:
        self.at: Final = machine.home.parent / "managers"
        self.units: Final = machine.home / ".config/systemd/user"
        self.at.mkdir()
        scripts = {"systemctl": _SYSTEMCTL, "loginctl": _LOGINCTL, "launchctl": _LAUNCHCTL}
        for name, script in scripts.items():
            self._put(
                name,
                script.format(
                    ended=_ENDED,
                    at=self.at,
                    units=self.units,
                    aixtivd=SCRIPTS / "aixtivd",
                    all=" ".join(UNITS),
                    label=label,
                ),
            )
        self._put("journalctl", _JOURNALCTL.format(at=self.at))
        machine.environ["PATH"] = f"{self.at}:{machine.environ['PATH']}"

    def _put(self, name: str, script: str) -> None:
        (self.at / name).write_text(script)
        (self.at / name).chmod(0o755)

    def without_systemd(self) -> None:
        """As in a container, in systemctl's own words."""
        self.say("unreachable", "System has not been booted with systemd as init system (PID 1). Can't operate.\n")

    def say(self, name: str, text: str = "") -> None:
        """Of the things that a manager goes by: `refused`, `unreachable`, `forbidden`, `journal`."""
        (self.at / name).write_text(text)

    def asked(self) -> list[str]:
        """What it was told to do, in order, and not what it was only asked; then it is forgotten."""
        asked = self.at / "asked"
        lines = asked.read_text().splitlines() if asked.exists() else []
        asked.write_text("")
        return [line.replace(" --user", "") for line in lines if "show" not in line and " print " not in line]

    @property
    def pid(self) -> int:
        """Of the daemon that it runs; 0: none."""
        file = self.at / "pid"
        return int(file.read_text()) if file.exists() else 0

    def end(self) -> None:
        if self.pid:
            os.kill(self.pid, SIGTERM)


def contents(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder, with its mode and what is in it."""
    return {
        str(path.relative_to(home)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in home.rglob("*")
    }
