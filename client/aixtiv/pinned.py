"""The account that a folder is for: its `.aixtiv.toml`, or that of one above it. Light: the fast lane uses it."""

import os

NAME = ".aixtiv.toml"
_KIND = 0o170000  # inode(7), as in place.py
_PLAIN = 0o100000
_OTHERS = 0o002
LONGEST = 4096  # bytes of such a file at most
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-/"


def account() -> str | None:
    """Its name; empty where no folder says one; None where the whole command has to look."""
    found, passed_by = nearest()
    if passed_by:
        return None
    return _in_one_line(found) if found else ""


def nearest() -> tuple[str, list[str]]:
    """The file that counts, from the current folder up to the home folder, or else to the root; empty: none.

    Beside it those that were passed by: links and whatever else is no plain file, and what others own or may write.
    """
    passed_by: list[str] = []
    try:
        folder = os.getcwd()
    except OSError:  # it is gone
        return "", passed_by
    home, uid = os.path.expanduser("~"), os.getuid()
    while True:
        path = f"{folder.rstrip('/')}/{NAME}"
        try:
            found = os.lstat(path)
        except OSError:
            pass
        else:
            if found.st_mode & _KIND == _PLAIN and found.st_uid == uid and not found.st_mode & _OTHERS:
                return path, passed_by
            passed_by.append(path)
        if folder in (home, "/", "//"):  # POSIX lets a path begin with two
            return "", passed_by
        folder = folder[: folder.rfind("/")] or "/"


def _in_one_line(path: str) -> str | None:
    """`account = "NAME"`, comments and blank lines aside. None for whatever else TOML can say."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            text = os.read(file, LONGEST + 1).decode("ascii")
        finally:
            os.close(file)
    except (OSError, UnicodeDecodeError):
        return None
    every = [line.removesuffix("\r") for line in text.split("\n")]
    if len(text) > LONGEST or not all(line.replace("\t", " ").isprintable() for line in every):
        return None
    lines = [line for line in (line.strip(" \t") for line in every) if line and line[0] != "#"]
    if len(lines) != 1:
        return None
    key, _, value = lines[0].partition("=")
    word = value.strip(" \t")
    name = word[1:-1]
    if key.strip(" \t") != "account" or len(word) < 3 or word[0] != '"' or word[-1] != '"':
        return None
    return name if is_name(name) else None


def is_name(word: str) -> bool:
    """Whether an account can be called that: such a file may come from anywhere, and its word stands in sentences."""
    return 0 < len(word) <= 100 and not word.strip(_LETTERS)
