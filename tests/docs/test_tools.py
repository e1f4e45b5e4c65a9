"""docs/tools.md's table is true line by line: each line names a tool, and here stands which test drives that tool."""

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs/tools.md").read_text(encoding="utf-8")

DRIVEN: Final = {
    "git": ("tests/e2e/test_tools_git.py", "test_git_clones_with_the_accounts_token_and_shows_it_nowhere_else"),
    "kubectl": ("tests/e2e/test_tools.py", "test_kubectl_reaches_a_cluster_that_the_account_names"),
    "Claude Code, for an MCP server it calls itself": (
        "tests/e2e/test_tools.py",
        "test_headers_are_one_json_object_and_go_where_the_account_is_for",
    ),
    "anything that asks Python's keyring": (
        "tests/e2e/test_tools.py",
        "test_keyring_gives_the_accounts_token_and_keeps_nothing",
    ),
    "pip": ("tests/e2e/test_tools.py", "test_pip_gets_it_from_keyring"),
    "a tool that reads a token from a file": (
        "tests/daemon/accounts/test_publishing.py",
        "test_each_new_generation_is_written_ahead_of_the_end_of_the_one_before",
    ),
    "Anthropic's SDKs, without aixtiv's port": (
        "tests/e2e/test_tools_sdk.py",
        "test_a_profile_whose_token_is_published_is_always_fresh",
    ),
    "a tool that reads JSON": (
        "tests/e2e/test_tools_files.py",
        "test_it_holds_the_newest_token_and_never_a_refresh_token",
    ),
    "a script": ("tests/e2e/test_tools.py", "test_an_exec_credential_says_when_it_ends"),
}


def test_every_line_of_the_table_is_driven_by_a_test_that_there_is() -> None:
    table = PAGE.partition("| --- |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| (.*?) \|", table, re.MULTILINE)[0:] == list(DRIVEN)
    for file, name in DRIVEN.values():
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert [node for node in ast.walk(tree) if getattr(node, "name", "") == name], name
