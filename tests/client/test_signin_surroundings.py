"""What kind of place a sign-in is begun in: by which signs it is recognised, and which come first."""

from pathlib import Path

import pytest

from aixtiv.surroundings import Kind, recognised

WINDOWS = {"proc/version": "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@x) #1 SMP"}


def place(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "root"


@pytest.mark.parametrize(
    ("environ", "files", "platform", "kind", "sign"),
    [
        ({}, {}, "linux", "headless", "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        ({"DISPLAY": ":0"}, {}, "linux", "desktop", "DISPLAY is set"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, {}, "linux", "desktop", "WAYLAND_DISPLAY is set"),
        ({"DISPLAY": "localhost:10", "SSH_CONNECTION": "a 1 b 22"}, {}, "linux", "ssh", "SSH_CONNECTION is set"),
        ({"SSH_TTY": "/dev/pts/0"}, {}, "darwin", "ssh", "SSH_TTY is set"),
        ({}, {}, "darwin", "desktop", ""),
        ({"BROWSER": "wslview", "SSH_CONNECTION": "a 1 b 22"}, WINDOWS, "linux", "desktop", "BROWSER is set"),
        ({}, {".dockerenv": ""}, "linux", "container", "/.dockerenv is there"),
        ({}, {"run/.containerenv": ""}, "linux", "container", "/run/.containerenv is there"),
        ({"container": "podman"}, {}, "linux", "container", "the variable container is podman"),
        ({}, {"proc/1/cgroup": "0::/kubepods/besteffort/x"}, "linux", "container", "/proc/1/cgroup names kubepods"),
        ({}, {"proc/1/cgroup": "0::/init.scope"}, "linux", "headless", "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        ({"DISPLAY": ":0"}, {"run/.containerenv": ""}, "linux", "desktop", "DISPLAY is set"),  # toolbox, distrobox
        ({}, WINDOWS, "linux", "wsl", "/proc/version names Microsoft"),
        ({"DISPLAY": ":0"}, WINDOWS, "linux", "desktop", "DISPLAY is set"),  # WSLg
        ({"SSH_CONNECTION": "a 1 b 22"}, WINDOWS, "linux", "ssh", "SSH_CONNECTION is set"),
    ],
)
def test_a_place_is_recognised_by_a_sign_that_is_told(
    folder: Path, environ: dict[str, str], files: dict[str, str], platform: str, kind: Kind, sign: str
) -> None:
    found = recognised({"PATH": str(folder), **environ}, platform, place(folder, files))
    assert (found.kind, found.sign) == (kind, sign)
    assert found.in_front is (kind == "desktop")
    assert found.in_front or f"({sign})" in found.sentence


@pytest.mark.parametrize("name", ["wslview", "explorer.exe"])
def test_the_browser_of_windows_is_found_even_where_there_is_a_display(folder: Path, name: str) -> None:
    opener = folder / name
    opener.write_text("#!/bin/sh\n")
    opener.chmod(0o700)
    found = recognised({"PATH": str(folder), "DISPLAY": ":0"}, "linux", place(folder, WINDOWS))
    assert (found.kind, found.opener) == ("wsl", str(opener))
    assert not found.in_front  # it is offered, not opened
