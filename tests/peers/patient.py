"""A machine for the doctor's checks: made up, with all well on it until a test says otherwise."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
from msgspec import structs

from aixtiv.doctor.finding import Finding
from aixtiv.doctor.situation import Answered, Situation
from aixtiv_protocol import VERSION, replies

KEY: Final = "sk-ant-api03-" + "made-up" * 5
TOKEN: Final = "sk-ant-oat01-" + "made-up" * 5
TICKET: Final = "aixtiv-ticket-" + "t" * 43
WELCOME: Final = replies.Welcome(version=VERSION, protocol=1, ops=())
STATUS: Final = replies.DaemonStatus(version=VERSION, pid=7, started_at=1, locked=False)


def healthy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Situation:
    """All is well, nothing was ever configured, and whoever is asked does not answer."""
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr("platformdirs.user_config_dir", lambda name: str(folder / ".config" / name))
    ours = program(folder / "bin/aixtiv", "#!/usr/bin/python3\n")
    return Situation(
        environ={"PATH": f"{ours.parent}:/usr/bin"},
        home=folder,
        here=folder,
        platform="linux",
        command=ours,
        socket=str(folder / "run/aixtiv.sock"),
        state=folder / "state",
        config=folder / "config.toml",
        tables={},
        relay=lambda _: Answered(message="nobody was asked"),
        bare=lambda _, __: Answered(message="connection refused"),
        welcome=WELCOME,
        status=STATUS,
    )


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def with_shell(here: Situation, **environ: str) -> Situation:
    return structs.replace(here, environ={**here.environ, **environ})


def only(found: Iterable[Finding]) -> Finding:
    """The one finding, which must show no secret."""
    (one,) = found
    assert not any(secret in repr(one) for secret in (KEY, TOKEN, TICKET)), one
    return one


def wrongs(found: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.verdict == "wrong"]
