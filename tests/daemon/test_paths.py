"""The same places however the daemon is started."""

import sys
from pathlib import Path

import platformdirs
import pytest

from aixtivd.paths import paths

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="there are Apple's folders")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "AIXTIV_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))


def test_what_a_bare_environment_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As cron has it; a runtime folder of this uid on this machine would count for the socket."""
    monkeypatch.setattr("os.path.isdir", lambda path: False)
    where = paths()
    assert where.state == folder / ".local/state/aixtiv"
    assert where.store == folder / ".local/state/aixtiv/store.db"
    assert where.key == folder / ".local/state/aixtiv/key"
    assert where.config == folder / ".config/aixtiv/config.toml"
    assert where.socket == folder / ".local/state/aixtiv/run/aixtiv.sock"


def test_what_a_desktops_environment_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "s"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "c"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "r"))
    where = paths()
    assert where.store == folder / "s/aixtiv/store.db"
    assert where.config == folder / "c/aixtiv/config.toml"
    assert where.socket == folder / "r/aixtiv/aixtiv.sock"


def test_the_socket_alone_can_be_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIXTIV_SOCKET", str(folder / "mine.sock"))
    assert paths().socket == folder / "mine.sock"
    assert paths().state == folder / ".local/state/aixtiv"


@pytest.mark.parametrize("home", ["/home/sam", "/home/sam/", "/", "relative", "", None])
@pytest.mark.parametrize("base", ["/somewhere/else", "/somewhere/", "relative", "", "~/x", None])
def test_they_are_the_folders_that_platformdirs_says(
    home: str | None, base: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all is as usual they are found without it, since a start is to be quick."""
    for name, value in {"HOME": home, "XDG_STATE_HOME": base, "XDG_CONFIG_HOME": base}.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    where = paths()
    assert where.state == Path(platformdirs.user_state_dir("aixtiv"))
    assert where.config == Path(platformdirs.user_config_dir("aixtiv")) / "config.toml"
