"""Long lists of accounts in answers that are no longer than a message may be."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from aixtiv_protocol.codec import FRAME_CAP, encode_reply
from aixtiv_protocol.replies import Account, AccountList, DaemonStatus
from aixtivd.accounts.page import page, room_beside

STATUS = DaemonStatus(version="1", pid=1, started_at=1, locked=False, store="/home/a/" * 200)


def account(number: int, **told: object) -> Account:
    facts = {"who": f"person-{number}@example.org", "scopes": ("read", "write"), "expires_at": 1_800_000_000}
    return Account(name=f"team/{number:05}", provider="p", kind="oauth", state="fresh", **(facts | told))  # type: ignore[arg-type]  # a test's own words


def pages(accounts: list[Account]) -> Iterator[AccountList]:
    """As a client asks for them."""
    after = ""
    while True:
        one = page(each for each in accounts if each.name > after)
        yield one
        if not one.more:
            return
        after = one.accounts[-1].name


def test_ten_thousand_accounts_come_each_once_and_in_order_in_full_messages() -> None:
    accounts = [account(number) for number in range(10_000)]
    found = list(pages(accounts))
    assert [each for one in found for each in one.accounts] == accounts
    sizes = [len(encode_reply(one, "lines")) for one in found]
    assert max(sizes) <= FRAME_CAP
    assert min(sizes[:-1]) > FRAME_CAP - 1000, "a page that is not the last one is full"


def test_a_few_accounts_are_one_page() -> None:
    accounts = tuple(account(number) for number in range(3))
    assert page(accounts) == AccountList(accounts=accounts)
    assert page(()) == AccountList(accounts=())


def test_no_more_of_a_long_list_is_looked_at_than_fits() -> None:
    looked_at = 0

    def long() -> Iterator[Account]:
        nonlocal looked_at
        for number in range(10_000):
            looked_at += 1
            yield account(number)

    shown = page(long()).accounts
    assert len(shown) < looked_at <= len(shown) + 1


def test_a_status_is_filled_up_with_accounts_and_is_no_longer_than_a_message() -> None:
    shown = page((account(number) for number in range(10_000)), room_beside(STATUS))
    whole = DaemonStatus(
        version="1", pid=1, started_at=1, locked=False, store=STATUS.store, accounts=shown.accounts, more=shown.more
    )
    assert shown.more
    for mode in ("lines", "frames"):
        data = encode_reply(whole, mode)
        assert FRAME_CAP / 2 < len(data) <= FRAME_CAP + 4
        assert b"too_large" not in data


def test_an_account_of_which_its_provider_says_too_much_hides_no_other() -> None:
    accounts = [account(0), account(1, scopes=("x" * 1000,) * 300, problem="p" * 300_000), account(2)]
    [one] = pages(accounts)
    assert [each.name for each in one.accounts] == [each.name for each in accounts]
    assert one.accounts[1].scopes == ()
    assert one.accounts[1].problem.endswith("too long to be shown")


@settings(deadline=None)
@given(st.lists(st.text(max_size=3000), max_size=60), st.sampled_from(["lines", "frames"]))
def test_whatever_providers_say_a_page_fits_into_a_message(words: list[str], mode: str) -> None:
    accounts = [account(number, who=word, issuer=word) for number, word in enumerate(words)]
    for one in pages(accounts):
        data = encode_reply(one, mode)  # type: ignore[arg-type]  # one of the two
        assert b"too_large" not in data
