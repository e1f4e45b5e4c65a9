"""A shorter part of `make attack`, and the judge himself: a verdict against us can come out."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from aixtiv_protocol import replies
from faults.attack import __main__, invariant
from faults.attack.arsenal import ATTACKS
from faults.attack.attack import Attack
from faults.attack.hostile import Hostile, Presented, built, here
from faults.attack.invariant import Found, Verdict
from faults.attack.runner import Runner
from faults.attack.scene import Death, Kind, Scene, Violation
from faults.attack.stores import Kept
from faults.attack.table import Score, table
from peers.authority.process import Lineage
from peers.presence import absent

SHORT = ("kill", "kill-call", "full-call", "cut", "stop-cont", "rotate-kill", "upgrade")
SEED = 20261123


@pytest.fixture(autouse=True)
def compiler() -> None:
    if why := here():
        absent(why)


def attacked(*attacks: Attack, workers: int) -> None:
    said: list[str] = []
    runner = Runner(attacks, SEED, time.monotonic() + 600, said.append)
    runner.run(sum(attack.rounds for attack in attacks), 0, workers)
    assert runner.held, "\n".join([*said, table(attacks, runner.scores)])
    assert {name: score.rounds for name, score in runner.scores.items()} == {one.name: one.rounds for one in attacks}


def test_two_rounds_of_some_attacks_lose_and_erase_nothing() -> None:
    attacked(*(replace(attack, rounds=2) for attack in ATTACKS if attack.name in SHORT), workers=2)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_no_attack_makes_it_lose_or_erase_anything(attack: Attack) -> None:
    attacked(attack, workers=1)


LIVE, OLD = "rt-live", "rt-old"
LOST = replies.Account(name="ada", provider="p", kind="oauth", state="quarantined", problem="p", hint="aixtiv login")


def found(
    *,
    works: bool = False,
    kind: Kind = "punishes reuse",
    reached: Mapping[str, float] = MappingProxyType({OLD: 1.0}),
    told: float = 0.0,
    deaths: tuple[Death, ...] = (),
    account: replies.Account | None = LOST,
) -> Found:
    scene: Any = SimpleNamespace(kind=kind, hostile=SimpleNamespace(reached=reached), deaths=deaths, told={"ada": told})
    lineage = Lineage("ada", OLD, LIVE, ended=True)
    return invariant._judged(cast("Scene", scene), "ada", lineage, account, works=works)


def died(at: float, *kept: str) -> tuple[Death, ...]:
    return (Death(0.5, 0.51, frozenset()), Death(at, at + 0.01, frozenset(kept)))


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ({"works": True}, "survived"),
        ({"account": None}, "erased"),
        ({}, "lost by the server"),
        ({"kind": "does not rotate"}, "lost by us"),
        ({"kind": "allows a grace time"}, "lost by us"),
        ({"reached": {LIVE: 2.0}}, "lost by us"),
        ({"reached": {LIVE: 2.0}, "deaths": died(2.05)}, "died with it in hand"),
        ({"reached": {LIVE: 2.0}, "deaths": died(2.05, OLD)}, "died with it in hand"),
        ({"reached": {LIVE: 2.0}, "deaths": died(2.05, LIVE)}, "lost by us"),
        ({"reached": {LIVE: 2.0}, "deaths": died(2.15)}, "lost by us"),
        ({"reached": {LIVE: 2.0}, "deaths": died(1.995)}, "died with it in hand"),  # read while the signal was sent
        ({"reached": {LIVE: 2.0}, "deaths": died(1.98)}, "lost by us"),
        ({"reached": {LIVE: 2.0}, "deaths": died(2.05), "told": 1.9}, "died with it in hand"),
        ({"reached": {LIVE: 2.0}, "deaths": died(2.05), "told": 2.03}, "lost by us"),
        ({"reached": {LIVE: 2.0}, "deaths": died(2.05), "told": 2.2}, "died with it in hand"),
        ({"account": replace(LOST, state="failing")}, "lost by us"),
        ({"account": replace(LOST, problem="")}, "lost by us"),
        ({"account": replace(LOST, hint="")}, "lost by us"),
    ],
)
def test_what_is_lost_is_laid_at_the_right_door(what: dict[str, Any], verdict: Verdict) -> None:
    assert found(**what).verdict == verdict


def presented(death: Death, *, kind: Kind = "punishes reuse", times: int = 1) -> None:
    seen = {Presented(OLD, 1.0 + number, 7) for number in range(times)}
    hostile = SimpleNamespace(presented=seen, look=lambda: None)
    scene: Any = SimpleNamespace(kind=kind, hostile=hostile, new_deaths=[death], began=0.5, asks={"ada": 1})
    invariant._check_what_was_presented(scene)


def with_it(**kept: Any) -> Death:
    return Death(2.0, 2.01, frozenset({OLD}), 7, Kept(frozenset({OLD}), **kept))


def test_a_token_that_was_presented_without_a_record_of_it_is_a_violation() -> None:
    presented(with_it(begun={"ada": OLD}))
    presented(with_it(aside=frozenset({OLD})))
    presented(Death(2.0, 2.01, frozenset({LIVE}), 7))
    with pytest.raises(Violation, match="was presented"):
        presented(with_it())


def test_a_token_is_presented_no_third_time_where_reuse_is_punished() -> None:
    presented(with_it(begun={"ada": OLD}), kind="is known to punish reuse", times=2)
    with pytest.raises(Violation, match="presented 3 times"):
        presented(with_it(begun={"ada": OLD}), kind="is known to punish reuse", times=3)


def test_a_power_cut_undoes_what_was_not_synced(folder: Path) -> None:
    hostile, store = Hostile(built(folder), folder), folder / "store.db"
    does = (
        f"import os; f = os.open({str(store)!r}, os.O_RDWR | os.O_CREAT); os.pwrite(f, b'synced', 0); os.fsync(f);"
        "os.pwrite(f, b'lost for good', 3); os.ftruncate(f, 5)"
    )
    subprocess.run([sys.executable, "-c", does], env=os.environ | hostile.environ, check=True)
    assert store.read_bytes() == b"synlo"
    hostile.end(folder, power=True)
    hostile.close()
    assert store.read_bytes() == b"synced"


@pytest.mark.parametrize("verdict", ["lost by us", "erased"])
def test_one_grant_lost_by_us_or_erased_is_enough_to_fail(verdict: Verdict) -> None:
    runner = Runner(one("kill"), SEED, 0.0, print)
    runner.scores["kill"].add([Found("ada", "survived"), Found("bob", "lost by the server")], 1.0)
    assert runner.held
    runner.scores["kill"].add([Found("ada", verdict)], 1.0)
    assert not runner.held


def one(name: str) -> tuple[Attack, ...]:
    return tuple(attack for attack in ATTACKS if attack.name == name)


def test_a_worker_that_ends_by_an_error_is_told_and_has_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise pytest.skip.Exception("no port is free")  # not even an Exception

    monkeypatch.setattr("faults.attack.runner.authorization_server", fail)
    said: list[str] = []
    runner = Runner(one("kill"), SEED, time.monotonic() + 600, said.append)
    runner.scores["kill"].add([Found("ada", "survived")], 1.0)
    assert runner.held
    runner.run(1, 0, 2)
    assert (runner.held, sorted(runner.untried)) == (False, ["worker 0 ended early", "worker 1 ended early"])
    assert "no port is free" in said[0]


@pytest.mark.parametrize(
    ("until", "asked", "why"),
    [
        (0.0, 0, ["no round of kill, cut"]),
        (0.0, 4, ["no round of kill, cut", "0 rounds of 4 that were asked for"]),
    ],
)
def test_what_was_not_tried_has_not_held(until: float, asked: int, why: list[str]) -> None:
    runner = Runner(one("kill") + one("cut"), SEED, until, print)
    runner.run(asked, 0, 1)
    assert (runner.held, runner.untried) == (False, why)


def test_fewer_rounds_than_were_asked_for_have_not_held() -> None:
    runner = Runner(one("kill"), SEED, 0.0, print)
    runner.run(2, 0, 1)
    for enough in (False, True):
        runner.scores["kill"].add([Found("ada", "survived")], 1.0)
        assert runner.held is enough


@pytest.mark.parametrize(
    ("words", "until", "rounds"),
    [("", 1200.0, 0), ("--rounds 9", math.inf, 9), ("--rounds 9 --minutes 2", 120.0, 9), ("--minutes 2", 120.0, 0)],
)
def test_the_time_is_a_limit_where_it_was_said_or_nothing_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, until: float, rounds: int
) -> None:
    heard: list[float] = []

    class Idle(Runner):
        def run(self, rounds: int, first: int, workers: int) -> None:  # as the real one has it
            heard.extend((self._until, rounds))

    monkeypatch.setattr(__main__, "Runner", Idle)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    monkeypatch.setattr("sys.argv", ["attack", "--only", "kill", *words.split()])
    assert __main__.main() == 1
    assert heard == [until, rounds]
    assert "not everything was tried: no round of kill\n" in capsys.readouterr().out


def test_the_table_has_a_line_for_each_attack_and_one_for_all() -> None:
    scores = {attack.name: Score() for attack in ATTACKS}
    scores["eio"].add([Found("ada", "survived"), Found("bob", "erased")], 2.0)
    lines = table(ATTACKS, scores).splitlines()
    assert [line.split()[0] for line in lines if "---" not in line] == [
        "attack",
        *(attack.name for attack in ATTACKS),
        "all",
    ]
    assert lines[-1].split() == ["all", "1", "2", "1", "0", "0", "0", "1", "0"]


def test_every_attack_says_what_it_does_and_the_document_has_it() -> None:
    document = (Path(__file__).parents[2] / "docs/attack.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in document.splitlines() if line.startswith("| `")]
    assert [(name.strip(" `"), says.strip()) for name, says in rows] == [(one.name, one.says) for one in ATTACKS]
