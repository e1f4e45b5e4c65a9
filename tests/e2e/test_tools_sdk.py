"""The official SDKs with a profile whose token aixtiv publishes: they call Claude themselves, and renew nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import sdks
from peers.claude_api.process import sent
from peers.desk import ACCOUNT, Desk, desk
from peers.waiting import until

CONFIG = f"""
[account.{ACCOUNT}]
publish = {{ path = "~/.config/anthropic/credentials/work.json", format = "anthropic" }}
"""


@pytest.fixture
def at(folder: Path) -> Iterator[Desk]:
    with desk(folder, configured=CONFIG) as at:
        at.sign_in()
        yield at


def profile(at: Desk) -> Path:
    """The half of the profile that is no secret; the other half's path."""
    folder = at.machine.home / ".config/anthropic"
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    tree = {"version": "1.0", "base_url": at.claude.url, "authentication": {"type": "user_oauth"}}
    (folder / "configs/work.json").write_text(json.dumps(tree))
    (folder / "configs/work.json").chmod(0o600)
    return folder / "credentials/work.json"


@pytest.mark.parametrize(
    "name", ["newest", *(pytest.param(name, marks=pytest.mark.slow) for name in sdks.NAMES if name != "newest")]
)
def test_a_profile_whose_token_is_published_is_always_fresh(at: Desk, name: str) -> None:
    sdk, file = sdks.sdk(name), profile(at)
    for _ in range(2):
        until(lambda: file.exists() and at.server.newest in file.read_text(), "the newest token is there")
        came = sdk.run("plain", environ=at.machine.environ | {"ANTHROPIC_PROFILE": "work"})
        assert came.acts == {"plain": "You said: a word from the SDK"}
        assert sent(at.claude.requests[-1], "authorization") == f"Bearer {at.server.newest}"
        at.claude.revoke(at.server.newest)
        assert at.machine.run("refresh", ACCOUNT).code == 0
    assert at.server.refreshes == 2, "all of them the daemon's"
