"""What a bridge loads: it starts with every client that a person opens, and has to be there at once."""

import subprocess
import sys
from typing import Final

BRIDGE: Final = """
import sys
import aixtiv.commands.mcp, aixtiv.mcp.bridge, aixtiv.mcp.door, aixtiv.mcp.signing
print(*sys.modules)
"""


def test_the_bridge_loads_no_event_loop_no_http_library_and_no_mcp_package() -> None:
    done = subprocess.run([sys.executable, "-c", BRIDGE], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "aixtiv.mcp.streamable" in loaded
    assert not {"asyncio", "anyio", "http.client", "httpx", "httpx2", "mcp", "pydantic", "aiohttp", "ssl"} & loaded
