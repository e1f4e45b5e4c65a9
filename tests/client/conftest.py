"""What several tests of the client begin with."""

from pathlib import Path

import pytest

from aixtiv.doctor.situation import Situation
from peers.patient import healthy


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Situation:
    return healthy(folder, monkeypatch)
