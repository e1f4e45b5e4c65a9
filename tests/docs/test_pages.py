"""What the documents tell a person to type is typed here, from the top of each page to its end, and works."""

from pathlib import Path
from typing import Final

import pytest

from docs.exceptions import FAILS, GIVEN, NEEDS, NOT_TYPED
from docs.pages import Opposite, Typed, desk, typed
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
    "docs/backups.md",
    "docs/claude.md",
    "docs/config.md",
    "docs/errors.md",
    "docs/locking.md",
    "docs/providers.md",
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
