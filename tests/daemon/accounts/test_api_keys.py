"""What is sealed as an API key, and what surely is none."""

import pytest

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from aixtivd.errors import BadRequest
from peers.house import Opener


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("sk-ant-oat01-x", "aixtiv login anthropic --ant"),
        ("sk-ant-ort01-x", "aixtiv login anthropic --ant"),
        ("aixtiv-ticket-x", "aixtiv ticket list"),
        ('"sk-ant-api03-x"', "aixtiv api-key set anthropic"),
        ("'sk-ant-api03-x'", "aixtiv api-key set anthropic"),
        ("ANTHROPIC_API_KEY=sk-ant-api03-x", "aixtiv api-key set anthropic"),
        ("sk-ant-admin01-x", "aixtiv api-key set anthropic"),
        ("ghp_x", "aixtiv api-key set anthropic"),
        ("github_pat_x", "aixtiv api-key set anthropic"),
    ],
)
async def test_what_can_be_no_api_key_is_not_sealed_as_one(house: Opener, key: str, hint: str) -> None:
    async with house() as h:
        with pytest.raises(BadRequest, match=r"no API key|no part of an API key") as raised:
            await h.accounts.api_key(requests.ApiKey(account="anthropic", key=Secret(key)))
        assert key not in raised.value.sentence
        assert raised.value.hint == hint
        assert await h.vault.rows() == []


@pytest.mark.parametrize("key", ["ghp_x", '"x"', "a=b", "sk-ant-admin01-x"])
async def test_of_other_providers_keys_nothing_is_known(house: Opener, key: str) -> None:
    async with house() as h:
        await h.accounts.api_key(requests.ApiKey(account="github", key=Secret(key)))
        assert await h.token("github") == key


@pytest.mark.parametrize("key", ["sk-ant-api03-x", "abcd==", "sk-1234"])
async def test_a_key_of_an_unknown_form_is_kept(house: Opener, key: str) -> None:
    async with house() as h:
        await h.accounts.api_key(requests.ApiKey(account="anthropic", key=Secret(key)))
        assert await h.token("anthropic") == key
