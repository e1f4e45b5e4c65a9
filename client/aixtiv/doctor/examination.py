"""One check after the other, and what --fix does about what they find."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import structs

from aixtiv.doctor import audit, claude, command, daemon, environment, files, handed, names, network, old, service
from aixtiv.doctor.finding import Finding, Repair
from aixtiv.doctor.situation import Situation
from aixtiv.failures import AixtivError

Check = Callable[[Situation], Iterable[Finding]]

CHECKS: Final[tuple[Check, ...]] = (
    command.check,
    files.check_socket,
    files.check_store,
    files.check_config,
    names.check,
    daemon.check_daemon,  # behind the files: one that is open to others keeps the daemon from starting
    service.check,
    daemon.check_version,
    daemon.check_vault,
    daemon.check_gateway,
    daemon.check_published,
    audit.check,
    daemon.check_examined,
    network.check_callback_ports,
    network.check_redirect_port,
    network.check_browser,
    network.check_proxy,
    network.check_no_proxy,
    environment.check_shadowing,
    environment.check_base_url,
    environment.check_key_kind,
    handed.check_ticket,
    handed.check_helper,
    old.check_files,
    claude.check_path,
    claude.check_header,
    claude.check_version,
    claude.check_api,
)
"""To add one: a function from a Situation to its findings, its line here, its row in docs/commands.md."""


class Examination:
    """`look` makes the situation anew after a repair. `may` is asked before a repair that has a question."""

    def __init__(
        self,
        look: Callable[[], Situation],
        *,
        fix: bool = False,
        may: Callable[[Repair], bool] = lambda _: True,
        checks: tuple[Check, ...] = CHECKS,
    ) -> None:
        self._look = look
        self._fix = fix
        self._may = may
        self._checks = checks

    def findings(self) -> Iterator[Finding]:
        """Each as soon as it is known."""
        situation = self._look()
        for check in self._checks:
            found = list(check(situation))
            repairs = [finding for finding in found if finding.verdict == "wrong" and self._wanted(finding.repair)]
            if repairs:
                outcomes = [_carried_out(finding) for finding in repairs]
                situation = self._look()
                found = _proven(outcomes, list(check(situation)))
            yield from found

    def _wanted(self, repair: Repair | None) -> bool:
        return self._fix and repair is not None and (not repair.question or self._may(repair))


def _carried_out(finding: Finding) -> Finding:
    """The finding as mended, or with the reason why it was not."""
    assert finding.repair
    try:
        finding.repair.run()
    except (AixtivError, OSError) as error:
        return structs.replace(finding, sentence=f"{finding.sentence}; it could not be mended: {error}", repair=None)
    return structs.replace(finding, verdict="fine", fixed=True, hint="", sentence=finding.repair.sentence)


def _proven(outcomes: list[Finding], again: list[Finding]) -> list[Finding]:
    """What the same check says after the repairs: only what it does not complain about any more is fixed."""
    left = {finding.sentence: finding for finding in again if finding.verdict == "wrong"}
    fixed = [outcome for outcome in outcomes if outcome.fixed]
    failed = [outcome for outcome in outcomes if not outcome.fixed]
    known = {sentence for outcome in failed for sentence in left if outcome.sentence.startswith(sentence)}
    return [*fixed, *failed, *(finding for sentence, finding in left.items() if sentence not in known)]
