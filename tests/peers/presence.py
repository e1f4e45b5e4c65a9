"""Whether a counterpart is on this machine: skipped with a word where it is not, a failure in CI."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

OIDC = Path(__file__).parent / "oidc"
NODE = 20  # the oldest major version that runs oidc-provider 9.13: it asks for crypto.hash


def absent(what: str) -> NoReturn:
    """Ends this test: CI must have every counterpart, a contributor's machine need not."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, which CI must have", pytrace=False)
    pytest.skip(what)


def command(*names: str, package: str) -> str:
    """The path of the first of these commands that there is. `package`: what a person would install for it."""
    for name in names:
        if found := shutil.which(name):
            return found
    absent(f"{names[0]} is not installed (Debian: apt install {package})")


def why_no_node(what: str) -> str:
    """A sentence where there is no Node here that runs `what`; empty where there is."""
    if not (node := shutil.which("node")):
        return "node is not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = version.stdout.strip().lstrip("v").partition(".")[0]
    if version.returncode or not major.isdecimal() or int(major) < NODE:
        return f"node is {version.stdout.strip() or 'broken'}, and {what} needs {NODE} or newer"
    return ""


@cache
def why_no_oidc_provider() -> str:
    """A sentence that says what npm's oidc-provider lacks here; empty where it can be started."""
    if why := why_no_node("oidc-provider"):
        return why
    if not (OIDC / "node_modules" / "oidc-provider").is_dir():
        return "oidc-provider is not installed (make peer)"
    return ""
