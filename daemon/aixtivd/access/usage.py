"""What was relayed, added up by account, program and agent."""

from collections.abc import Iterable
from typing import Final

from aixtiv_protocol.replies import AuditRecord, UsageReport, UsageRow
from aixtivd.access import chain

ROWS: Final = 150
"""At most, so that a report fits into one message; what was used least is put together in one row more."""

OTHERS: Final = "(others)"
_RELAYED: Final = b'"what":"relay"'


class _Sum:
    __slots__ = ("calls", "last_at", "received", "sent", "statuses")

    def __init__(self) -> None:
        self.calls = self.sent = self.received = 0
        self.last_at = 0.0
        self.statuses: dict[str, int] = {}

    def add(self, record: AuditRecord) -> None:
        self.calls += 1
        self.sent += record.sent
        self.received += record.received
        self.last_at = max(self.last_at, record.at)
        status = str(record.status)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def merge(self, other: "_Sum") -> None:
        self.calls += other.calls
        self.sent += other.sent
        self.received += other.received
        self.last_at = max(self.last_at, other.last_at)
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count

    def row(self, account: str, program: str, agent: str) -> UsageRow:
        return UsageRow(
            account=account,
            program=program,
            agent=agent,
            calls=self.calls,
            sent=self.sent,
            received=self.received,
            statuses=dict(sorted(self.statuses.items())),
            last_at=int(self.last_at),
        )


def summed(lines: Iterable[bytes], since: int) -> UsageReport:
    """Of the lines of the log, the busiest first."""
    sums: dict[tuple[str, str, str], _Sum] = {}
    for line in lines:
        if _RELAYED not in line:
            continue
        record = chain.record(line)
        if record is None or record.at < since:
            continue
        if not (record.kind or record.status or record.sent):  # refused before there was a credential: no call
            continue
        who = (record.account, record.program, record.agent)
        if who not in sums:
            sums[who] = _Sum()
        sums[who].add(record)
    busiest = sorted(sums.items(), key=lambda item: item[1].calls, reverse=True)
    rows = [one.row(*who) for who, one in busiest[:ROWS]]
    if rest := busiest[ROWS:]:
        others = _Sum()
        for _, one in rest:
            others.merge(one)
        rows.append(others.row("", OTHERS, ""))
    return UsageReport(rows=tuple(rows), since=since)
