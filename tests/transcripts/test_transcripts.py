"""Every command as a person meets it: both streams and the exit status of real processes, compared line by line."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from aixtiv.commands import COMMANDS, OLD
from peers.machine import Machine
from peers.ports import usual_port
from transcripts.transcript import Play, steps

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_was_written_down_is_what_comes(file: Path, folder: Path) -> None:
    written = file.read_text()
    turn = usual_port() if "aixtiv setup " in written else nullcontext()
    with turn, Machine(folder) as machine, Play(machine) as play:
        came = play.played(written)
    if os.environ.get("AIXTIV_UPDATE"):
        file.write_text(came)
    assert came == written


def test_every_command_has_a_transcript() -> None:
    typed = " ".join(step.line for file in FILES for step in steps(file.read_text()) if step.line[:1] in {"$", "@"})
    names = [name for section in COMMANDS.values() for name in section] + list(OLD)
    assert [name for name in names if f"aixtiv {name}" not in typed] == []
