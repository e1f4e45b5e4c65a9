"""The daemon's service, where one is installed: whether it runs, and is the one that this version would write."""

from collections.abc import Iterator

from aixtiv.doctor.finding import Finding, fine, skipped, wrong
from aixtiv.doctor.situation import Situation
from aixtiv.failures import AixtivError
from aixtiv.service import here
from aixtiv.service.state import faults


def check(situation: Situation) -> Iterator[Finding]:
    try:
        state = here.manager().state()
    except AixtivError as failure:
        yield wrong("service", failure.sentence, failure.hint)
        return
    found = faults(state, situation.status.pid if situation.status else 0)
    yield from (wrong("service", sentence, hint) for sentence, hint in found)
    if found:
        return
    if not state.manager:
        what = "its manager cannot be asked from here" if state.installed else "no service manager can be asked here"
        yield skipped("service", f"{what}: any `aixtiv` starts the daemon")
    elif not state.installed:
        yield skipped("service", "none is installed: the first command starts the daemon", "aixtiv service install")
    else:
        yield fine("service", f"{state.manager} looks after the daemon, and its units are those of this version")
