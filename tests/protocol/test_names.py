"""What stands in a name's place and is a secret, and what is a name."""

import pytest

from aixtiv_protocol.names import is_secret

SECRETS = [
    "sk-ant-api03-abc",
    "sk-proj-1",
    "work/sk-ant-api03-abc",
    "aixtiv-ticket-abc",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "gho_1",
    "github_pat_11A",
    "glpat-x",
    "xoxb-1-2",
    "eyJhbGciOiJub25lIn0",
    "0123456789abcdef0123456789abcdef01234567",
    "Zm9vYmFyYmF6cXV4-Zm9vYmFyYmF6cXV4_Zm9vYmFyYmF6cXV4-Zm9vYmFyYmF6cXV4",
]

NAMES = [
    "",
    "anthropic",
    "anthropic/work",
    "github/ada@example.com",
    "a" * 100,
    "service-account-of-the-building-2-in-the-old-street-on-the-left-side-of-it.example.com",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "kubernetes-cluster-production-eu-west-1-robot",
    "skyline",
    "eye",
]


@pytest.mark.parametrize("word", SECRETS)
def test_a_key_or_token_is_no_name(word: str) -> None:
    assert is_secret(word)


@pytest.mark.parametrize("word", NAMES)
def test_a_name_that_a_person_gives_is_none(word: str) -> None:
    assert not is_secret(word)
