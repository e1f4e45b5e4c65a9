"""The page: what it says, that it loads nothing, and that nothing gets into it."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from aixtivd.oauth.page import HEADERS, Page, render


class Tags(HTMLParser):
    def __init__(self, document: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_style_is_exactly_the_one_the_policy_allows() -> None:
    document = render(Page("t", "s", ok=True)).decode()
    style = document.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_success_and_failure_say_what_to_do_next() -> None:
    good = render(Page("Signed in", "ada is signed in.", ok=True, command="aixtiv token work")).decode()
    assert "<code><span>aixtiv</span> <span>token</span> <span>work</span></code>" in good
    assert "You can close this window." in good
    bad = render(Page("Not signed in", "it failed", ok=False)).decode()
    assert 'role="alert"' in bad
    assert "<code>" not in bad
    assert "Nothing that was there before has changed." in bad


def test_it_is_readable_in_light_and_dark_and_by_a_screen_reader() -> None:
    document = render(Page("t", "s", ok=True)).decode()
    assert "prefers-color-scheme:dark" in document
    assert '<html lang="en"' in document
    assert "<title>t · aixtiv</title>" in document
    assert 'role="status"' in document


SCRIPT = "</p></title><script>alert(1)</script><img src=x onerror=y>&amp;"


@given(st.text(), st.text(), st.text(), st.booleans())
@example(SCRIPT, "", "", True)
@example("", SCRIPT, "", False)
@example("", "", SCRIPT, True)
def test_no_text_becomes_markup_and_nothing_is_loaded(title: str, sentence: str, command: str, ok: bool) -> None:
    document = render(Page(title, sentence, ok=ok, command=command)).decode()
    tags = Tags(document)
    expected = {"html", "head", "meta", "title", "style", "body", "main", "h1", "span", "p", "code", "footer"}
    assert set(tags.seen) <= expected
    assert tags.seen.count("style") == 1
    assert not [
        name for name, _ in tags.attributes if name in {"src", "href", "action", "style"} or name.startswith("on")
    ]
    assert not re.search(r"url\(|@import", document.partition("<style>")[2].partition("</style>")[0])
