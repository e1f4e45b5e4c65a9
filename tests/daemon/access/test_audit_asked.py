"""What can be asked of the audit log: its newest records, those of one account, and who used how much."""

from pathlib import Path

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.codec import encode_reply
from aixtivd.access.caller import Caller
from aixtivd.access.note import LONGEST
from aixtivd.access.usage import OTHERS, ROWS
from peers.audits import CALLER, desk


def opened_files() -> set[str]:
    return {one.resolve().name for one in Path("/proc/self/fd").iterdir()}


async def test_the_newest_records_are_found_from_the_end(folder: Path) -> None:
    async with desk(folder) as here:
        for number in range(1000):
            here.note("token", CALLER, account=f"a{number % 3}", detail="x" * (number % 390))
        await here.flush()
        every = await here.all()
        assert [record.number for record in every] == list(range(1, 1001))
        for wanted in (1, 7, 200, 333, 999, 1000, 5000):
            assert await here.all(limit=wanted) == every[-wanted:]
            of_one = [record for record in every if record.account == "a1"]
            assert await here.all(limit=wanted, account="a1") == of_one[-wanted:]
        assert await here.all(limit=5, account="nobody") == []


async def test_an_account_is_not_taken_for_another_whose_name_it_quotes(folder: Path) -> None:
    async with desk(folder) as here:
        here.note("token", CALLER, account="github/work", detail='"account":"github"')
        here.note("token", CALLER, account="github")
        assert [record.number for record in await here.all(account="github")] == [2]


async def test_a_reader_who_leaves_early_holds_no_file_open(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened(*(f"a{number}" for number in range(600)))
        records = here.records(requests.Audit(limit=0))
        assert (await anext(records)).number == 1
        await here.happened("later")
        await records.aclose()
        assert "audit.log" not in opened_files()


async def test_a_log_that_cannot_be_read_is_a_sentence(folder: Path) -> None:
    async with desk(folder) as here:
        await here.happened("one")
        here.path.unlink()
        here.path.mkdir()
        for ask in (here.usage(requests.Usage()), here.verify(), here.all()):
            with pytest.raises(Exception, match=r"the audit log .* cannot be read") as failure:
                await ask
            assert failure.value.hint == f"ls -l {here.path}"  # type: ignore[attr-defined]  # a StoreFailed


async def test_usage_adds_up_what_was_relayed_by_account_and_caller(folder: Path) -> None:
    async with desk(folder) as here:
        other = Caller(uid=1, pid=2, program="/usr/bin/python3.11 tool.py")
        for status, sent, received in ((200, 10, 100), (200, 20, 200), (429, 1, 2), (0, 5, 0)):
            here.note("relay", CALLER, account="anthropic", status=status, sent=sent, received=received)
            here.clock.advance(10)
        here.note("relay", other, account="anthropic", status=200, sent=1, received=1)
        here.note("token", other, account="anthropic", detail='{"what":"relay"}')
        here.note("relay", other, ok=False, account="nobody", detail="POST /v1/messages")  # refused: nothing was sent
        report = await here.usage(requests.Usage())
        assert report.rows == (
            replies.UsageRow(
                account="anthropic",
                program="/usr/bin/claude",
                agent="agent-7",
                calls=4,
                sent=36,
                received=302,
                statuses={"0": 1, "200": 2, "429": 1},
                last_at=1_800_000_030,
            ),
            replies.UsageRow(
                account="anthropic",
                program="/usr/bin/python3.11 tool.py",
                calls=1,
                sent=1,
                received=1,
                statuses={"200": 1},
                last_at=1_800_000_040,
            ),
        )
        later = await here.usage(requests.Usage(since=1_800_000_025))
        assert [(row.calls, row.statuses) for row in later.rows] == [(1, {"0": 1}), (1, {"200": 1})]
        assert later.since == 1_800_000_025


async def test_a_report_of_many_callers_still_fits_into_one_message(folder: Path) -> None:
    async with desk(folder) as here:
        for number in range(ROWS + 20):
            caller = Caller(uid=1, pid=2, program=f"{number}-".ljust(2 * LONGEST, "é"), agent="ü" * 2 * LONGEST)
            for _ in range(2 if number < ROWS else 1):
                here.note("relay", caller, account="ö" * 2 * LONGEST, status=200, sent=1)
        report = await here.usage(requests.Usage())
        assert len(report.rows) == ROWS + 1
        assert (report.rows[-1].program, report.rows[-1].calls, report.rows[-1].sent) == (OTHERS, 20, 20)
        assert isinstance(encode_reply(report, "frames"), bytes)
