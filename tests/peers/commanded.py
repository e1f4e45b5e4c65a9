"""The real command, as a process, opposite a daemon whose answers a test says."""

import subprocess
import sysconfig
from pathlib import Path

from aixtiv_protocol import replies, requests
from peers.scripted import Said, Script

AIXTIV = f"{sysconfig.get_path('scripts')}/aixtiv"
ACCOUNT = replies.Account(name="work", provider="work", kind="oauth", state="fresh", default=True)


def run(folder: Path, *words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "HOME": str(folder),
        "AIXTIV_SOCKET": str(folder / "aixtiv/aixtiv.sock"),
        "AIXTIV_NO_START": "1",
        "PYTHONUTF8": "1",
    }
    return subprocess.run(
        [AIXTIV, *words],
        env=environment | environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def saying(*said: Said) -> Script:
    return lambda request: said


def keeping(account: replies.Account, *before: replies.Account) -> Script:
    """A daemon that has the accounts `before`, and answers whatever else with `account`."""
    return lambda request: (
        (replies.AccountList(accounts=before),) if isinstance(request, requests.Accounts) else (account,)
    )


def telling(status: replies.DaemonStatus) -> Script:
    """A daemon without accounts that is so."""
    return lambda request: (replies.AccountList(accounts=()) if isinstance(request, requests.Accounts) else status,)
