"""Whose an identity file may be: root is somebody else's number in the user namespace of the systemd unit."""

import os
from pathlib import Path

import pytest

from aixtivd.accounts.identities import _owners


@pytest.mark.parametrize(
    ("uid_map", "overflow", "more"),
    [
        ("0 0 4294967295\n", "65534\n", set()),
        ("1000 1000 1\n", "65533\n", {65533}),
        ("1000 1000 1\n", None, {65534}),  # `ProcSubset=pid`, as the unit has it
        (None, None, set()),  # not Linux
    ],
)
def test_root_is_known_by_the_number_it_has_here(
    folder: Path, uid_map: str | None, overflow: str | None, more: set[int]
) -> None:
    for name, text in {"self/uid_map": uid_map, "sys/kernel/overflowuid": overflow}.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(text)
    assert _owners(folder) == {os.geteuid(), 0} | more
