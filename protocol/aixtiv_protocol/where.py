"""Where the socket is, computed the same by daemon and client. Pure; imports nothing, for the command's fast lane."""

TYPE_CHECKING = False  # typing's own constant would cost its import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SOCKET = "aixtiv.sock"


def socket_path(
    environ: "Mapping[str, str]", home: str, uid: int, platform: str, is_dir: "Callable[[str], bool]"
) -> str:
    """`AIXTIV_SOCKET`, else the runtime directory, else a folder under the state directory.

    On Linux `/run/user/UID` counts even where XDG_RUNTIME_DIR is unset (cron, `su`, an old tmux), so that these find
    the daemon that the desktop started. A relative XDG path is ignored, as the XDG Base Directory Specification says
    and platformdirs does. `platform` is `sys.platform`; `is_dir` is `os.path.isdir`.
    """
    if named := environ.get("AIXTIV_SOCKET"):
        return named
    if platform == "darwin":
        return f"{home}/Library/Caches/aixtiv/{SOCKET}"
    if runtime := _absolute(environ, "XDG_RUNTIME_DIR"):
        return f"{runtime}/aixtiv/{SOCKET}"
    if is_dir(f"/run/user/{uid}"):
        return f"/run/user/{uid}/aixtiv/{SOCKET}"
    state = _absolute(environ, "XDG_STATE_HOME") or f"{home}/.local/state"
    return f"{state}/aixtiv/run/{SOCKET}"


def _absolute(environ: "Mapping[str, str]", name: str) -> str:
    path = environ.get(name, "")
    return path if path.startswith("/") else ""


def closing(path: str, mode: int, environ: "Mapping[str, str]") -> str:
    """The command that keeps others out of `path`, which is ours: the socket, or its folder, with that `st_mode`.

    A folder meant for all (sticky, as /tmp is), or where one merely stands or lives, is not closed for a socket's sake.
    """
    if mode & 0o1000 or path in (".", environ.get("HOME")):
        return elsewhere(path, environ)
    return f"chmod {'700' if mode & 0o170000 == 0o040000 else '600'} {path}"


def elsewhere(path: str, environ: "Mapping[str, str]") -> str:
    """The command where `path` cannot become a place for the socket, or should not."""
    return "unset AIXTIV_SOCKET" if environ.get("AIXTIV_SOCKET") else f"ls -ld {path}"


SHORTER = "export AIXTIV_SOCKET=/a/shorter/path/aixtiv.sock"
"""The command where the path is longer than `path_limit`."""


def path_limit(platform: str) -> int:
    """Bytes of `sun_path` without the closing NUL: 103 on macOS (unix(4)), 107 on Linux (unix(7))."""
    return 107 if platform == "linux" else 103
