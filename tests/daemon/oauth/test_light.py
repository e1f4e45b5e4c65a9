"""The daemon starts light (D2): nothing heavy loads before a provider is spoken to."""

import subprocess
import sys

ALL = (
    "authorization callback client clients discovery document endpoint identity keys outcomes page providers response "
    "web words"
)
HEAVY = ("aiohttp", "authlib", "joserfc", "email.utils", "ssl")


def test_importing_the_whole_room_loads_no_http_no_oauth_and_no_jwt_library() -> None:
    """A process of its own, since this one has loaded them all. `ssl` may come with asyncio: that is its business."""
    names = ", ".join(f"aixtivd.oauth.{name}" for name in ALL.split())
    code = f"import asyncio, anyio, sys; before = set(sys.modules); import {names}; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "aixtivd.oauth.web" in loaded
    assert not [name for name in loaded if name.startswith(HEAVY)]
