"""Where the process begins: what is to load later has to be known before anything is imported."""

from typing import NoReturn

from aixtivd import later


def main() -> NoReturn:
    """The command `aixtivd`."""
    later.begin()
    from aixtivd import app  # noqa: PLC0415  # not before it has begun

    app.main()
