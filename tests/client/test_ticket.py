"""What `aixtiv ticket` and its neighbours show, without a daemon."""

import io

import pytest
from rich.console import Console

from aixtiv.client import Client
from aixtiv.commands import options, ticket
from aixtiv.failures import NoAccount
from aixtiv_protocol import replies

SHOWN = replies.TicketShown(
    id="0a1b2c3d",
    account="anthropic/a-long-name-of-an-account",
    verbs=("relay", "token"),
    name="setup sdk-profile",
    expires_at=4_000_000_000,
    holder=123_456,
    program="/usr/bin/python3 a_script_with_a_name.py",
)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_id_can_be_copied_however_narrow_the_terminal_is(width: int) -> None:
    drawn = io.StringIO()
    Console(file=drawn, width=width).print(ticket._table((SHOWN,)))
    assert SHOWN.id in drawn.getvalue()


@pytest.mark.parametrize(
    ("key", "hint", "told"),
    [
        ("sk-ant-api03-x", "aixtiv api-key set anthropic", "aixtiv api-key set anthropic --from-environment"),
        ("", "aixtiv api-key set anthropic", "aixtiv api-key set anthropic"),
        ("sk-ant-api03-x", "aixtiv accounts", "aixtiv accounts"),
    ],
)
def test_where_the_shell_has_a_key_the_hint_is_to_take_that(
    monkeypatch: pytest.MonkeyPatch, key: str, hint: str, told: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NoAccount("there is no account", hint=hint)

    monkeypatch.delenv("DR_CLAUDE_API", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    monkeypatch.setattr(Client, "ticket", refuse)
    with pytest.raises(NoAccount) as failure:
        options.Asking(no_start=True).ticket("", holder="none")
    assert failure.value.hint == told
