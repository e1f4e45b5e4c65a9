"""The audit log: whether it is as it was written."""

import shlex
from collections.abc import Iterator

from aixtiv.doctor.daemon import NOT_ASKED
from aixtiv.doctor.finding import Finding, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.failures import Locked
from aixtiv.show import short


def check(situation: Situation) -> Iterator[Finding]:
    """What was altered stays so: nothing makes a log whole again, and one that is taken away is missed, too."""
    verdict, path = situation.audited, situation.state / "audit.log"
    failure = situation.unaudited
    if verdict is None:
        why = "the vault is locked" if isinstance(failure, Locked) else failure.sentence if failure else NOT_ASKED
        yield skipped("audit", why)
    elif not verdict.intact:
        sentence = f"{short(str(path))} is not as it was written: {verdict.problem}; records go on behind that place"
        copy = shlex.quote(f"{path}.altered")
        yield wrong("audit", sentence, f"cp -p {shlex.quote(str(path))} {copy}")
    elif verdict.problem:
        yield wrong("audit", verdict.problem, "df -h ~")
    else:
        yield fine("audit", f"every record in {short(str(path))} is as it was written")
