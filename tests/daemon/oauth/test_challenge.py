"""What a resource says when it turns a call away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtivd.oauth.challenge import Challenge, fit_scopes, read_challenge


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Bearer", Challenge()),
        ('bearer realm="x"', Challenge()),
        (
            'Bearer error="insufficient_scope", scope="a b a", resource_metadata="https://x.example/m"',
            Challenge(error="insufficient_scope", scope=("a", "b"), resource_metadata="https://x.example/m"),
        ),
        (
            "Bearer scope=a, resource_metadata=https://x.example/m",
            Challenge(scope=("a",), resource_metadata="https://x.example/m"),
        ),
        ('Basic realm="u", Bearer scope="a"', Challenge(scope=("a",))),
        ('Bearer scope="a", Basic scope="b"', Challenge(scope=("a",))),
        ('Negotiate YII=, Bearer scope="a"', Challenge(scope=("a",))),
        ('Bearer realm="say \\"hello\\", scope=\\"no\\"", scope="a"', Challenge(scope=("a",))),
        ('Bearer scope="a", scope="b"', Challenge(scope=("a",))),
        ('Bearer scope="a', Challenge()),
    ],
)
def test_the_bearer_challenge_is_found_among_others(header: str, said: Challenge) -> None:
    assert read_challenge(header) == said


@pytest.mark.parametrize(
    "header", ["", 'Basic realm="Bearer scope=x"', 'Digest nonce="Bearer"', ",,,", '"Bearer"', "="]
)
def test_without_one_there_is_none(header: str) -> None:
    assert read_challenge(header) is None


def test_what_can_be_no_scope_is_not_asked_for_nor_endlessly_many() -> None:
    assert fit_scopes(("a", 'b"', "ü", "x" * 300, "c d", "e")) == ("a", "e")
    assert len(fit_scopes([str(number) for number in range(1000)])) == 100


@given(st.text(alphabet='Bearer scop="\\, \tx=ü\0', max_size=300))
def test_whatever_it_says_it_is_read_and_never_an_exception(header: str) -> None:
    said = read_challenge(header)
    assert said is None or all(scope and " " not in scope for scope in said.scope)


def test_a_long_one_takes_no_longer_for_being_hostile() -> None:
    for header in ("Bearer " + "a" * 10**6, "Bearer " + 'a="' * 10**6, " " * 10**6, "Bearer " + "a " * 10**6):
        read_challenge(header)
