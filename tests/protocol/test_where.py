"""The one place of the socket, computed without I/O."""

from pathlib import Path

import platformdirs
import pytest

from aixtiv_protocol.where import closing, path_limit, socket_path

RUN = "/run/user/1000"


@pytest.mark.parametrize(
    ("environ", "platform", "folders", "path"),
    [
        ({}, "linux", set(), "/home/ada/.local/state/aixtiv/run/aixtiv.sock"),
        ({}, "linux", {RUN}, f"{RUN}/aixtiv/aixtiv.sock"),
        ({"XDG_RUNTIME_DIR": "/x/run"}, "linux", {RUN}, "/x/run/aixtiv/aixtiv.sock"),
        ({"XDG_RUNTIME_DIR": "/x/run"}, "linux", set(), "/x/run/aixtiv/aixtiv.sock"),
        ({"XDG_RUNTIME_DIR": ""}, "linux", {RUN}, f"{RUN}/aixtiv/aixtiv.sock"),
        ({"XDG_RUNTIME_DIR": "x/run"}, "linux", {RUN}, f"{RUN}/aixtiv/aixtiv.sock"),
        ({"XDG_STATE_HOME": "/x/state"}, "linux", {RUN}, f"{RUN}/aixtiv/aixtiv.sock"),
        ({"XDG_STATE_HOME": "/x/state"}, "linux", set(), "/x/state/aixtiv/run/aixtiv.sock"),
        ({"XDG_STATE_HOME": "state"}, "linux", set(), "/home/ada/.local/state/aixtiv/run/aixtiv.sock"),
        ({"AIXTIV_SOCKET": "/x/s", "XDG_RUNTIME_DIR": "/x/run"}, "linux", {RUN}, "/x/s"),
        ({"AIXTIV_SOCKET": ""}, "linux", {RUN}, f"{RUN}/aixtiv/aixtiv.sock"),
        ({}, "darwin", {RUN}, "/home/ada/Library/Caches/aixtiv/aixtiv.sock"),
        ({"XDG_RUNTIME_DIR": "/x/run"}, "darwin", set(), "/home/ada/Library/Caches/aixtiv/aixtiv.sock"),
        ({"AIXTIV_SOCKET": "/x/s"}, "darwin", set(), "/x/s"),
    ],
)
def test_the_socket_is_where_the_environment_the_platform_or_the_home_says(
    environ: dict[str, str], platform: str, folders: set[str], path: str
) -> None:
    assert socket_path(environ, "/home/ada", 1000, platform, folders.__contains__) == path


@pytest.mark.parametrize(
    ("path", "mode", "environ", "command"),
    [
        ("/x/aixtiv", 0o040755, {}, "chmod 700 /x/aixtiv"),
        ("/x/aixtiv/s", 0o140666, {}, "chmod 600 /x/aixtiv/s"),
        ("/tmp", 0o041777, {"AIXTIV_SOCKET": "/tmp/s"}, "unset AIXTIV_SOCKET"),
        (".", 0o040755, {"AIXTIV_SOCKET": "s"}, "unset AIXTIV_SOCKET"),
        ("/home/ada", 0o040755, {"AIXTIV_SOCKET": "/home/ada/s", "HOME": "/home/ada"}, "unset AIXTIV_SOCKET"),
        ("/tmp", 0o041777, {}, "ls -ld /tmp"),
    ],
)
def test_the_command_that_keeps_others_out_closes_no_folder_that_is_for_more_than_the_socket(
    path: str, mode: int, environ: dict[str, str], command: str
) -> None:
    assert closing(path, mode, environ) == command


@pytest.mark.parametrize("state", ["/x/state", "relative", "", None])
def test_the_fallback_lies_in_the_same_state_folder_as_the_daemons_store(
    state: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if state is not None:
        monkeypatch.setenv("XDG_STATE_HOME", state)
    environ = {} if state is None else {"XDG_STATE_HOME": state}
    theirs = Path(platformdirs.user_state_dir("aixtiv"))
    assert Path(socket_path(environ, "/home/ada", 1000, "linux", lambda _: False)) == theirs / "run" / "aixtiv.sock"


def test_the_runtime_folder_is_the_one_platformdirs_takes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    theirs = Path(platformdirs.user_runtime_dir("aixtiv"))
    ours = socket_path({"XDG_RUNTIME_DIR": str(folder)}, "/home/ada", 1000, "linux", lambda _: False)
    assert Path(ours) == theirs / "aixtiv.sock"


def test_a_mac_keeps_the_socket_where_platformdirs_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs.macos import MacOS

    monkeypatch.setenv("HOME", "/Users/ada")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    theirs = Path(MacOS("aixtiv").user_cache_dir)
    assert Path(socket_path({}, "/Users/ada", 501, "darwin", lambda _: False)) == theirs / "aixtiv.sock"


@pytest.mark.parametrize(("platform", "limit"), [("linux", 107), ("darwin", 103), ("freebsd14", 103)])
def test_the_longest_path_a_socket_can_have_is_known(platform: str, limit: int) -> None:
    assert path_limit(platform) == limit


def test_this_kernel_takes_a_path_of_the_limit_and_none_longer(folder: Path) -> None:
    import socket
    import sys

    limit = path_limit(sys.platform)
    longest = f"{folder}/".ljust(limit, "s")
    with socket.socket(socket.AF_UNIX) as fits, socket.socket(socket.AF_UNIX) as too_long:
        fits.bind(longest)
        with pytest.raises(OSError, match="too long"):
            too_long.bind(longest + "s")
