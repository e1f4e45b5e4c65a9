"""The audit log: whether it is as it was written."""

from collections.abc import Iterator

from aixtiv.doctor.daemon import NOT_ASKED
from aixtiv.doctor.finding import Finding, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.failures import Locked
from aixtiv.show import short


def check(situation: Situation) -> Iterator[Finding]:
    """What was altered stays so, and a log that is taken away by hand is missed, too: the daemon puts it aside."""
    verdict, path = situation.audited, situation.state / "audit.log"
    failure = situation.unaudited
    if verdict is None:
        why = "the vault is locked" if isinstance(failure, Locked) else failure.sentence if failure else NOT_ASKED
        yield skipped("audit", why)
    elif not verdict.intact:
        sentence = f"{short(str(path))} is not as it was written: {verdict.problem}; records go on behind that place"
        yield wrong("audit", sentence, "aixtiv audit new")
    elif verdict.problem:
        yield wrong("audit", verdict.problem, "df -h ~")
    else:
        yield fine("audit", f"every record in {short(str(path))} is as it was written")
