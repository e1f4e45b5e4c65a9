"""Where the socket is, computed the same by daemon and client. Pure; imports nothing that costs."""

from collections.abc import Callable, Mapping

SOCKET = "aixtiv.sock"


def socket_path(environ: Mapping[str, str], home: str, uid: int, platform: str, is_dir: Callable[[str], bool]) -> str:
    """`AIXTIV_SOCKET`, else the runtime directory, else a folder under the state directory.

    On Linux `/run/user/UID` counts even where XDG_RUNTIME_DIR is unset (cron, `su`, an old tmux), so that these find
    the daemon that the desktop started. `platform` is `sys.platform`; `is_dir` is `os.path.isdir`.
    """
    if named := environ.get("AIXTIV_SOCKET"):
        return named
    if platform == "darwin":
        return f"{home}/Library/Caches/aixtiv/{SOCKET}"
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return f"{runtime}/aixtiv/{SOCKET}"
    if is_dir(f"/run/user/{uid}"):
        return f"/run/user/{uid}/aixtiv/{SOCKET}"
    state = environ.get("XDG_STATE_HOME") or f"{home}/.local/state"
    return f"{state}/aixtiv/run/{SOCKET}"


def path_limit(platform: str) -> int:
    """Bytes of `sun_path` without the closing NUL: 103 on macOS (unix(4)), 107 on Linux (unix(7))."""
    return 103 if platform == "darwin" else 107
