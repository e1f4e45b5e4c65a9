"""Names of findings are stable: docs/commands.md lists them, and here the list is held against the checks."""

import re
from pathlib import Path

from msgspec import structs

from aixtiv.doctor import examination
from aixtiv.doctor.daemon import EXAMINED
from aixtiv.doctor.finding import Finding
from aixtiv.doctor.situation import Situation
from aixtiv_protocol import replies

PAGE = (Path(__file__).parents[2] / "docs/commands.md").read_text(encoding="utf-8")


def test_every_finding_is_documented_and_every_documented_one_is_found(here: Situation) -> None:
    section = PAGE.partition("## The doctor")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    examined = tuple(replies.Finding(name=name, ok=True, sentence="fine") for name in EXAMINED)
    situation = structs.replace(here, examined=examined)
    found = dict.fromkeys(finding.name for check in examination.CHECKS for finding in check(situation))
    assert documented == list(found)


def test_the_fields_of_a_finding_are_documented_in_their_order() -> None:
    row = re.search(r"^\| \*\*finding\*\* \| (.*) \|$", PAGE, re.MULTILINE)
    assert row
    names = tuple(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", row[1])))
    assert names == tuple(name for name in Finding.__struct_fields__ if name != "repair")
