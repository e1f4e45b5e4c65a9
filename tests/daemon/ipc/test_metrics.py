"""What Prometheus is told: read by its own parser, complete from the start, and without names or secrets."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from aixtiv_protocol import codec, replies, requests
from aixtivd.ipc.exposition import Family, counter, gauge, labelled, written
from aixtivd.ipc.metrics import Metrics
from peers.held import Held, Side, serving

DOCUMENT = (Path(__file__).parents[3] / "docs" / "notices.md").read_text(encoding="utf-8")


class Accounts(Held):
    """As many as a test wants."""

    def __init__(self, names: tuple[str, ...] = ("github", "anthropic/work")) -> None:
        super().__init__()
        self.names = names
        self.refreshes = {"refreshed": 3, "unreachable": 1}

    def states(self, after: str = "", visible: Any = bool) -> Iterator[replies.Account]:
        for name in sorted(self.names):
            if name > after and visible(name):
                yield replies.Account(
                    name=name, provider="x", kind="oauth", state="due", expires_at=1_800_000_000, next_refresh=7
                )


STATUS = replies.DaemonStatus(
    version='1"2\\3\n4', pid=1, started_at=5, locked=True, spilled=2, damaged=1, audit_problem="the disk is full"
)


def metrics(accounts: Accounts | None = None) -> Metrics:
    parts: dict[str, Any] = {"accounts": accounts or Accounts(), "status": lambda: STATUS}
    return Metrics(
        **parts,
        asked=lambda: 9,
        tokens=lambda: 8,
        relayed=lambda: {"2xx": 4, "none": 1},
        denials=lambda: Counter({"rule": 2}),
    )


def parsed(text: str) -> dict[str, Metric]:
    """By their names in the text: the parser takes `_total` off."""
    found = list(text_string_to_metric_families(text))
    names = {(f"{one.name}_total" if one.type == "counter" else one.name): one for one in found}
    assert len(names) == len(found), "each family stands in one place"
    return names


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {(one.name, *one.labels.values()): one.value for family in parsed(text).values() for one in family.samples}


async def told(*, accounts: bool = False, of: Accounts | None = None, visible: Any = bool) -> str:
    return (await metrics(of).exposition(requests.Metrics(accounts=accounts), visible)).text


async def test_prometheus_reads_what_was_counted() -> None:
    found = samples(await told())
    assert found["aixtiv_requests_total",] == 9
    assert found["aixtiv_tokens_total",] == 8
    assert found["aixtiv_refreshes_total", "refreshed"] == 3
    assert found["aixtiv_refreshes_total", "misconfigured"] == 0, "a rate needs a beginning"
    assert found["aixtiv_relayed_calls_total", "2xx"] == 4
    assert found["aixtiv_denials_total", "rule"] == 2
    assert found["aixtiv_accounts", "due"] == 2
    assert found["aixtiv_accounts", "fresh"] == 0
    assert found["aixtiv_vault_locked",] == 1
    assert (found["aixtiv_spilled_grants",], found["aixtiv_damaged_seals",]) == (2, 1)
    assert found["aixtiv_problem", "audit"] == 1
    assert found["aixtiv_problem", "notices"] == 0
    assert found["aixtiv_start_time_seconds",] == 5
    assert found["aixtiv_resident_memory_bytes",] > 1 << 20
    assert 3 <= found["aixtiv_open_fds",] <= found["aixtiv_max_fds",]


async def test_what_stands_in_a_label_cannot_end_it() -> None:
    assert samples(await told())["aixtiv_build_info", '1"2\\3\n4'] == 1


async def test_no_account_is_named_unless_that_was_asked_for() -> None:
    assert "github" not in await told()
    found = samples(await told(accounts=True))
    assert found["aixtiv_account_expires_timestamp_seconds", "github"] == 1_800_000_000
    assert found["aixtiv_account_next_refresh_timestamp_seconds", "anthropic/work"] == 7
    assert found["aixtiv_account_info", "github", "x", "oauth", "due"] == 1
    assert found["aixtiv_accounts_left_out",] == 0


async def test_accounts_that_the_caller_may_not_be_told_of_are_not_even_counted() -> None:
    text = await told(accounts=True, visible=lambda name: name == "github")
    assert samples(text)["aixtiv_accounts", "due"] == 1
    assert "anthropic" not in text


async def test_ten_thousand_accounts_fit_into_one_answer_and_what_does_not_is_counted() -> None:
    of = Accounts(tuple(f"{number:05}{'x' * 95}" for number in range(10_000)))
    exposition = await metrics(of).exposition(requests.Metrics(accounts=True))
    for mode in ("frames", "lines"):
        sent = codec.encode_reply(exposition, mode)
        assert b"aixtiv_accounts_left_out" in sent, "it is sent, and not the failure that it is too large"
    found = samples(exposition.text)
    listed = sum(name == "aixtiv_account_info" for name, *_ in found)
    assert listed > 300
    assert listed + found["aixtiv_accounts_left_out",] == found["aixtiv_accounts", "due"] == 10_000


async def test_names_and_kinds_follow_prometheus_conventions() -> None:
    """https://prometheus.io/docs/practices/naming: one prefix, base units, `_total` for counters and nothing else."""
    for name, family in parsed(await told(accounts=True)).items():
        assert re.fullmatch(r"aixtiv(_[a-z]+)+", name), name
        assert (family.type == "counter") == name.endswith("_total"), name
        assert family.documentation.endswith("."), name
        assert not re.search(r"_(ms|milliseconds|minutes|kib|mib|count)(_|$)", name), name


async def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    table = DOCUMENT.partition("| metric | kind |")[2].partition("\n\n")[0]
    documented = {name for row in table.splitlines()[2:] for name in re.findall(r"`(aixtiv_\w+)`", row.split("|")[1])}
    assert documented == set(parsed(await told(accounts=True)))


def test_a_family_is_written_as_the_format_has_it() -> None:
    families = [
        counter("a_total", "Some.", 3),
        gauge("b", "More.", 0.5),
        labelled("gauge", "c", "Most.", "kind", {"x": 1.0}),
        Family("d", "gauge", "None.", ()),
    ]
    assert written(families) == (
        "# HELP a_total Some.\n# TYPE a_total counter\na_total 3\n"
        "# HELP b More.\n# TYPE b gauge\nb 0.5\n"
        '# HELP c Most.\n# TYPE c gauge\nc{kind="x"} 1\n'
    )


def counting(side: Side) -> None:
    """The peers of `serving` count nothing by themselves."""
    parts: Any = side
    parts.accounts.states, parts.accounts.refreshes = Accounts().states, {}
    for part in (parts.upstream, parts.door):
        part.denials = Namespace(counted=Counter({"full": 1}))
        part.statuses = {}


async def test_the_socket_answers_with_what_happened_on_it(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller, await side.caller() as other:
        counting(side)
        other.say(requests.Token(account="fresh"), requests.Token(account="fresh", form="bare"))
        assert isinstance(await other.hear(), replies.AccessToken)
        await other.hear()
        caller.say(requests.Metrics())
        exposition = await caller.hear()
        assert isinstance(exposition, replies.Exposition)
        found = samples(exposition.text)
        assert found["aixtiv_tokens_total",] == 2
        assert found["aixtiv_requests_total",] == 2, "being looked at is no use of the vault"
        assert (found["aixtiv_conversations_total",], found["aixtiv_open_conversations",]) == (2, 2)
        assert found["aixtiv_denials_total", "full"] == 2
        other.writer.close()
        await side.until(lambda: side.dispatch.metrics.open == 1)


async def test_a_locked_vault_is_told_of(folder: Path) -> None:
    async with serving(folder) as side, await side.caller() as caller:
        counting(side)
        side.accounts.locked = True
        caller.say(requests.Metrics())
        assert isinstance(await caller.hear(), replies.Exposition)
