"""Opening the person's browser from the command, which has the display; the daemon never does (D10)."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping

# A child, so that what the browser prints does not mix with the command's own streams. -I: no module from the
# working directory can stand in for the library's.
_SECRET = re.compile("SECRET|TOKEN|API_?KEY|PASSW|CREDENTIAL", re.IGNORECASE)  # of a variable: no page has use for it
_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def open_page(url: str, opener: str = "") -> subprocess.Popen[bytes]:
    """The child that opens `url`; it ends with 1 where it found no browser. A session of its own: Ctrl-C is ours.

    `opener`: the command that does it here, in place of the library's search.
    """
    return subprocess.Popen(
        [opener, url] if opener else [sys.executable, "-I", "-c", _OPEN, url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not _SECRET.search(name)},
        start_new_session=True,
    )


def tunnel(port: int, environ: Mapping[str, str]) -> str:
    """The ssh command that brings the callback's port to the machine in front of the person."""
    _, _, address, ssh_port = (environ.get("SSH_CONNECTION", "").split() + [""] * 4)[:4]
    host = address or socket.gethostname()
    user = environ.get("USER") or environ.get("LOGNAME") or ""
    other_port = f" -p {ssh_port}" if ssh_port not in ("", "22") else ""
    return f"ssh{other_port} -L {port}:127.0.0.1:{port} {f'{user}@' if user else ''}{host}"
