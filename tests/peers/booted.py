"""A machine that was booted with systemd, as far as a user can tell: the real user manager, in its own namespaces."""

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

import pytest

from peers.machine import PATIENCE, SCRIPTS, Ran
from peers.presence import absent, command
from peers.waiting import until

MANAGER: Final = "/lib/systemd/systemd"
_TOOLS: Final = ("unshare", "nsenter", "setpriv", "systemctl")
_ROOT: Final = Path(__file__).parents[2]

# /run/systemd/system is how sd_booted(3) sees a booted system, in unit-root a sandbox is put together; the groups are
# the manager's own to divide; a Python of root's own (pyenv) is shown to the other user through a second mount, which
# ends with the namespace; what is tested may lie in /tmp (CI's clone), and is shown in spite of `PrivateTmp=`. The
# shell goes on: a manager that is process 1 takes itself for the system's.
_BOOT: Final = """
set -e
mount -t tmpfs none /run
mkdir -p -m 755 /run/systemd/system /run/systemd/unit-root /run/user /run/systemd/user/aixtivd.service.d
install -d -m 700 -o {uid} -g {gid} /run/user/{uid}
printf '%s' '{shown}' > /run/systemd/user/aixtivd.service.d/shown.conf
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
install -d -o {uid} -g {gid} /sys/fs/cgroup/{name}
chown {uid} /sys/fs/cgroup/{name}/cgroup.procs /sys/fs/cgroup/{name}/cgroup.subtree_control
echo $$ > /sys/fs/cgroup/{name}/cgroup.procs
case {python} in {root}/*)
  mkdir {seen}
  mount --bind {python} {seen}
  mount -t tmpfs -o mode=755 none {root}
  mkdir -p {python}
  mount --bind {seen} {python};;
esac
mount -t tmpfs -o mode=755 none /home
mkdir /home/daemon
mount --bind {files} /home/daemon
setpriv --reuid {uid} --regid {gid} --clear-groups {manager} --user 2> {log} &
wait
echo $$ > /sys/fs/cgroup/cgroup.procs
find /sys/fs/cgroup/{name} -depth -type d -exec rmdir {{}} +
"""


def shown(*paths: Path) -> str:
    """A drop-in by which a service sees those of them that its `PrivateTmp=` would hide; empty where it hides none."""
    hidden = {str(path) for path in paths if {Path("/tmp"), Path("/var/tmp")} & set(path.parents)}
    return f"[Service]\nBindReadOnlyPaths={' '.join(sorted(hidden))}\n" if hidden else ""


def missing() -> str:
    """Why there can be no such machine here; empty where it can."""
    return "" if sys.platform == "linux" and os.geteuid() == 0 else "only root on Linux can play a booted machine"


def _check() -> None:
    """Ends the test where something lacks that can be installed, or where even root may mount nothing (containers)."""
    for tool in _TOOLS:
        command(tool, package="util-linux systemd")
    if not Path(MANAGER).exists():
        absent("systemd is not installed (Debian: apt install systemd)")
    probe = ["unshare", "--pid", "--fork", "--mount", "mount", "-t", "tmpfs", "none", "/run"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have mounts of one's own")


class Booted:
    """`folder`: short and 0700, as the fixture makes it. The person there is `daemon`, whom every system has.

    `home`: where the person's is, there; in /tmp no service with `PrivateTmp=` can have it.
    """

    def __init__(self, folder: Path, home: str = "/home/daemon") -> None:
        _check()
        person = pwd.getpwnam("daemon")
        self.uid: Final = person.pw_uid
        self._gid: Final = person.pw_gid
        self.files: Final = folder / "home"
        """The home, as it is seen from outside."""
        self._home: Final = home or str(self.files)
        self._log: Final = folder / "manager.log"
        self.environ: Final = {
            "HOME": self._home,
            "USER": person.pw_name,
            "PATH": f"{SCRIPTS}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": f"/run/user/{self.uid}",
        }
        self.files.mkdir(mode=0o700)
        self._log.touch(mode=0o666)
        for path in (folder, self.files):
            os.chown(path, self.uid, self._gid)
        self._boot: Final = folder / "boot.sh"
        self._boot.write_text(
            _BOOT.format(
                uid=self.uid,
                gid=self._gid,
                name=folder.name,
                python=sys.base_prefix,
                root=Path.home(),
                files=self.files,
                seen=folder / "python",
                log=self._log,
                manager=MANAGER,
                # Where the person's home is hidden on purpose, all of /tmp is.
                shown=shown(*(() if {Path("/tmp")} & set(Path(home).parents) else (_ROOT, Path(sys.prefix)))),
            )
        )

    def __enter__(self) -> Self:
        self._outer = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child", "sh", str(self._boot)],
            env={**self.environ, "SYSTEMD_LOG_TARGET": "console"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            until(self._up, f"the user manager answers: {self.log}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._outer.poll() is None and self._manager():
            self.systemctl("exit")
        try:
            self._outer.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._outer.kill()
            self._outer.wait()
        assert self._outer.stdout
        self._outer.stdout.close()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _manager(self) -> int:
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _up(self) -> bool:
        if self._outer.poll() is not None:
            assert self._outer.stdout
            raise AssertionError(f"the machine did not boot: {self._outer.stdout.read()}{self.log}")
        return bool(self._manager()) and self.systemctl("show", "-p", "Version").code == 0

    def systemctl(self, *words: str) -> Ran:
        return self.run("systemctl", "--user", *words)

    def aixtiv(self, *words: str, stdin: str = "") -> Ran:
        return self.run(str(SCRIPTS / "aixtiv"), *words, stdin=stdin)

    def run(self, *command: str, stdin: str = "") -> Ran:
        """As the person of that machine, to its end."""
        ran = subprocess.run(
            [
                *("nsenter", "--target", str(self._manager()), "--mount", "--pid"),
                *("setpriv", "--reuid", str(self.uid), "--regid", str(self._gid), "--clear-groups"),
                *("env", f"--chdir={self._home}"),
                *command,
            ],
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 3,
            check=False,
        )
        return Ran(ran.stdout, ran.stderr, ran.returncode)
