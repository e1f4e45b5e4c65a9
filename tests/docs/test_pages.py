"""What the documents tell a person to type is typed here, from the top of each page to its end, and works."""

import re
from pathlib import Path
from typing import Final

import pytest

from docs.exceptions import FAILS, GIVEN, NEEDS, NOT_TYPED
from docs.pages import FENCES, Opposite, Typed, blocks, desk, typed
from peers.ports import usual_port
from peers.presence import command

PAGES: Final = (  # for newcomers: typed with every run
    "README.md",
    "docs/claude-code.md",
    "docs/company.md",
    "docs/headless.md",
    "docs/sdks.md",
    "docs/start.md",
)
MORE: Final = (
    "docs/access.md",
    "docs/audit.md",
    "docs/backups.md",
    "docs/claude.md",
    "docs/config.md",
    "docs/errors.md",
    "docs/locking.md",
    "docs/mcp.md",
    "docs/notices.md",
    "docs/providers.md",
    "docs/tools.md",
)


def reason(line: Typed) -> str:
    return next((why for page, begin, why in NOT_TYPED if line.page == page and line.text.startswith(begin)), "")


def status(line: Typed) -> int:
    return next((code for page, begin, code in FAILS if line.page == page and line.text.startswith(begin)), 0)


@pytest.mark.parametrize("page", [*PAGES, *(pytest.param(page, marks=pytest.mark.slow) for page in MORE)])
def test_a_page_can_be_typed_from_its_top_to_its_end(servers: Opposite, folder: Path, page: str) -> None:
    given = [Typed(page, text) for text in GIVEN.get(page, ())]
    for program, package in NEEDS.items():
        if any(f"{program} " in line.text for line in [*given, *typed(page)]):
            command(program, package=package)
    with usual_port(), desk(servers, folder) as at:
        for line in [*given, *typed(page)]:
            if not reason(line):
                ran = at.types(line)
                assert ran.code == status(line), f"{line.text}\n{ran.out}\n{ran.err}"


@pytest.mark.parametrize("entry", [*NOT_TYPED, *FAILS], ids=lambda entry: f"{entry[0]}: {entry[1]}")
def test_no_exception_is_stale(entry: tuple[str, str, object]) -> None:
    assert [line for line in typed(entry[0]) if line.text.startswith(entry[1])]


def test_every_page_with_something_to_type_is_typed() -> None:
    root = Path(__file__).parents[2]
    pages = [str(path.relative_to(root)) for path in (root / "README.md", *sorted((root / "docs").glob("*.md")))]
    made = {"docs/attack.md", "docs/scale.md"}  # nothing but `make`, for hours
    assert sorted(page for page in pages if list(typed(page)) and page not in made) == sorted([*PAGES, *MORE])


def test_no_block_is_of_a_kind_that_is_overlooked() -> None:
    root = Path(__file__).parents[2]
    pages = (root / "README.md", *sorted((root / "docs").glob("*.md")))
    kinds = {kind for page in pages for kind in re.findall(r"^ *(?:\d+\. )?```(\w+)$", page.read_text(), re.MULTILINE)}
    assert kinds <= FENCES


def test_an_alert_on_two_conditions_can_fire() -> None:
    """`and` keeps what has the same labels on both sides: each is summed up by the same ones."""
    (rules,) = [text for _, text in blocks("docs/notices.md", "yaml")]
    both = [" ".join(expr.split()) for expr in re.findall(r"expr: (?:>-)?(.*?)(?=- alert|\Z)", rules, re.DOTALL)]
    (expr,) = [expr for expr in both if " and " in expr]
    left, right = (re.match(r"sum by \([a-z]+\) ", side) for side in expr.split(" and "))
    assert left
    assert right
    assert left[0] == right[0]
