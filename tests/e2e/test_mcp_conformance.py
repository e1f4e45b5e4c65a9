"""The official MCP conformance suite's client scenarios, against `aixtiv mcp` behind a real MCP client.

Two of its versions: the released one, and the one that tests the specification of 2026-07-28. What is left out, and
why, docs/mcp.md says too: a test here compares.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from peers.machine import Machine
from peers.mcp_conformance.suite import NEXT, RELEASED, Outcome, play, scenarios

METADATA: Final = "https://conformance-test.local/client-metadata.json"  # that the suite expects
MODERN: Final = "2026-07-28"

KEY: Final = ("--key", "a-key-that-nobody-asks-for")  # for a server that wants no authorization at all

PLAYED: Final[dict[str, tuple[str, ...]]] = {  # with the client's options
    "auth/metadata-default": (),
    "auth/metadata-var1": (),
    "auth/metadata-var2": (),
    "auth/metadata-var3": (),
    "auth/basic-cimd": ("--metadata", METADATA),
    "auth/scope-from-www-authenticate": (),
    "auth/scope-from-scopes-supported": (),
    "auth/scope-omitted-when-undefined": (),
    "auth/scope-step-up": (),
    "auth/token-endpoint-auth-basic": (),
    "auth/token-endpoint-auth-post": (),
    "auth/token-endpoint-auth-none": (),
    "auth/pre-registration": (),
    "auth/2025-03-26-oauth-endpoint-fallback": (),
    "auth/offline-access-scope": (),
    "auth/offline-access-not-supported": (),
    "auth/client-credentials-basic": ("--robot",),
}
REFUSED: Final = {  # where the bridge has to say no: the words of its sentence
    "auth/resource-mismatch": "evil.example.com",
    "auth/scope-retry-limit": "mcp:admin",
}
CARRIED: Final = {  # what goes over the bridge, without authorization: what a tool answers
    "initialize": "",
    "tools_call": "The sum of 5 and 3 is 8",
    "elicitation-sep1034-client-defaults": "Elicitation completed",
    "sse-retry": "Reconnection test completed successfully",
}
CORRECTED: Final = "auth/2025-03-26-oauth-metadata-backcompat"  # its issuer, in NEXT
NEWER: Final[dict[str, tuple[str, ...]]] = {
    CORRECTED: (),
    "auth/iss-supported": (),
    "auth/iss-not-advertised": (),
    "auth/authorization-server-migration": ("--calls", "2"),
}
NEWER_REFUSED: Final = (
    "auth/iss-supported-missing",
    "auth/iss-wrong-issuer",
    "auth/iss-unexpected",
    "auth/iss-normalized",
    "auth/metadata-issuer-mismatch",
)
NEWER_CARRIED: Final = {  # and the protocol that the client begins with
    "request-metadata": "auto",
    "tools_call": MODERN,
    "http-standard-headers": MODERN,
    "http-custom-headers": MODERN,
    "http-invalid-tool-headers": MODERN,
    "json-schema-2020-12-preservation": MODERN,
}
LEFT_OUT: Final = {
    *("auth/client-credentials-jwt", "auth/wif-jwt-bearer"),
    *("auth/cross-app-access-complete-flow", "auth/enterprise-managed-authorization"),
    *("auth/dpop", "auth/dpop-nonce"),
    *("sep-2322-client-request-state", "json-schema-ref-no-deref"),
    *("sep-2640-client-no-prefetch", "sep-2640-client-verify-digest"),
    *("sep-2640-client-verify-size", "sep-2640-client-verify-frontmatter"),
}


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    with Machine(folder) as machine:
        yield machine.start()


def passed(outcome: Outcome) -> None:
    assert outcome.passed, outcome.log
    assert outcome.wrong == ()


def test_the_bridge_steps_up_as_the_suite_wants_it(machine: Machine) -> None:
    """One for the ordinary run; all others are slow by their number alone."""
    outcome = play(machine, "auth/scope-step-up")
    passed(outcome)
    assert outcome.said == {"tools": ["test-tool"], "answers": ["test"], "failure": ""}
    assert outcome.asked == 2


@pytest.mark.slow
@pytest.mark.parametrize("scenario", PLAYED)
def test_the_bridge_passes(machine: Machine, scenario: str) -> None:
    outcome = play(machine, scenario, *PLAYED[scenario])
    passed(outcome)
    assert outcome.said == {"tools": ["test-tool"], "answers": ["test"], "failure": ""}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", PLAYED)
def test_the_bridge_passes_with_a_client_of_the_newer_protocol(machine: Machine, scenario: str) -> None:
    version = "2025-03-26" if "2025-03-26" in scenario else MODERN
    modern = () if version != MODERN else ("--mode", MODERN)
    outcome = play(machine, scenario, *modern, *PLAYED[scenario], suite=NEXT, version=version)
    passed(outcome)
    assert outcome.said == {"tools": ["test-tool"], "answers": ["test"], "failure": ""}


@pytest.mark.slow
@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("scenario", REFUSED)
def test_the_bridge_says_no_in_a_sentence_that_names_why(machine: Machine, scenario: str, newer: bool) -> None:
    if newer:
        outcome = play(machine, scenario, "--mode", MODERN, suite=NEXT, version=MODERN)
    else:
        outcome = play(machine, scenario)
    passed(outcome)
    assert REFUSED[scenario] in outcome.said["failure"], outcome.log


@pytest.mark.slow
@pytest.mark.parametrize("scenario", CARRIED)
def test_what_goes_over_the_bridge_is_what_the_suite_expects(machine: Machine, scenario: str) -> None:
    outcome = play(machine, scenario, *KEY)
    passed(outcome)
    assert CARRIED[scenario] in "".join(outcome.said["answers"])


@pytest.mark.slow
@pytest.mark.parametrize("scenario", NEWER_CARRIED)
def test_what_goes_over_the_bridge_by_the_newer_protocol_is_what_the_suite_expects(
    machine: Machine, scenario: str
) -> None:
    outcome = play(machine, scenario, "--mode", NEWER_CARRIED[scenario], *KEY, suite=NEXT, version=MODERN)
    passed(outcome)
    assert outcome.said["failure"] == ""


@pytest.mark.slow
@pytest.mark.parametrize("scenario", NEWER)
def test_the_bridge_passes_what_only_the_newer_suite_asks(machine: Machine, scenario: str) -> None:
    version = "2025-03-26" if scenario == CORRECTED else "2025-11-25"
    outcome = play(machine, scenario, *NEWER[scenario], suite=NEXT, version=version)
    passed(outcome)
    assert outcome.said["answers"], outcome.log


@pytest.mark.slow
@pytest.mark.parametrize("scenario", NEWER_REFUSED)
def test_the_bridge_believes_no_other_issuer(machine: Machine, scenario: str) -> None:
    outcome = play(machine, scenario, suite=NEXT, version="2025-11-25")
    passed(outcome)
    assert "iss" in outcome.said["failure"], outcome.log


def test_every_scenario_there_is_was_played_or_left_out_with_a_reason() -> None:
    played = PLAYED.keys() | REFUSED.keys() | CARRIED.keys() | NEWER.keys() | NEWER_CARRIED.keys() | set(NEWER_REFUSED)
    assert played & LEFT_OUT == set()
    assert scenarios(RELEASED) | scenarios(NEXT) == played | LEFT_OUT
    said = (Path(__file__).parent.parent.parent / "docs/mcp.md").read_text()
    _, passing, left_out = re.split(r"^### .*$", said.partition("## The conformance suite")[2], flags=re.MULTILINE)
    assert {scenario for scenario in played | LEFT_OUT if f"`{scenario}`" in passing} == played
    assert {scenario for scenario in played | LEFT_OUT if f"`{scenario}`" in left_out} == LEFT_OUT
