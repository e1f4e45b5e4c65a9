"""Which URLs an entry of `hosts` is about: whatever could be read in two ways is about none."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtivd.config.reach import names, reach, target


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("github.com", "https://github.com"),
        ("github.com", "https://github.com/acme/tool.git"),
        ("GitHub.com", "https://GITHUB.COM/"),
        ("github.com", "https://github.com:443/acme"),
        ("github.com:8443", "https://github.com:8443/acme?service=git-upload-pack"),
        ("github.com/acme", "https://github.com/acme"),
        ("github.com/acme/", "https://github.com/acme/tool.git"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/x"),
        ("localhost", "http://localhost/x"),
        ("[::1]:8080/a", "http://[::1]:8080/a"),
        ("10.0.0.1:6443", "https://10.0.0.1:6443"),
    ],
)
def test_an_entry_is_about_its_host_port_and_path(entry: str, url: str) -> None:
    found, where = reach(entry), target(url)
    assert found
    assert where
    assert names(found, where)


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("github.com", "https://evil.github.com"),
        ("github.com", "https://github.com.evil.example"),
        ("github.com", "https://notgithub.com"),
        ("github.com", "https://github.com:8443"),
        ("github.com:8443", "https://github.com"),
        ("github.com/acme", "https://github.com"),
        ("github.com/acme", "https://github.com/acme-evil"),
        ("github.com/acme", "https://github.com/ACME"),
        ("github.com/acme/tool", "https://github.com/acme/tool.git"),
        ("localhost:8080", "http://127.0.0.1:8080"),
    ],
)
def test_it_is_about_no_other(entry: str, url: str) -> None:
    found, where = reach(entry), target(url)
    assert found
    assert where
    assert not names(found, where)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com",
        "http://github.com",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example/",
        "ssh://github.com",
        "https://",
        "https://ada@github.com",
        "https://github.com@evil.example/",
        "https://github.com:443@evil.example/",
        "https://github.com:0",
        "https://github.com:99999",
        "https://github.com:44３",
        "https://github.com\\@evil.example",
        "https://github.com\n.evil.example",
        "https://github.com/a\nhost=evil.example",
        "https://github.com./",
        "https://gıthub.com/",
        "https://github.com/acme/../evil",
        "https://github.com/acme/..;/evil",
        "https://github.com/acme/..;x=1/evil",
        "https://github.com/acme/;/evil",
        "https://github.com/acme/./evil",
        "https://github.com/acme/%2e%2e/evil",
        "https://github.com/acme%2fevil",
        "https://github.com//acme",
        "https://github.com/acme\\..\\evil",
        "https://github.com/acme evil",
    ],
)
def test_what_could_be_read_in_two_ways_or_on_the_way_is_nowhere(url: str) -> None:
    assert target(url) is None


@pytest.mark.parametrize(
    "entry",
    [
        *("", "/", "https://github.com", "*.github.com", "github.com:", "github.com:0", "github.com:70000", "a b"),
        *(
            "ü.de",
            "github.com/a/../b",
            "github.com//a",
            "github.com/a?b",
            "ada@github.com",
            "github.com.",
            "-github.com",
        ),
    ],
)
def test_what_is_no_host_is_no_entry(entry: str) -> None:
    assert reach(entry) is None


def test_a_place_is_named_as_a_person_writes_it() -> None:
    said = [target(url) for url in ("https://github.com/a/b/", "http://localhost:80", "https://h.example:8443/x")]
    assert [where and where.name for where in said] == ["github.com/a/b", "localhost", "h.example:8443/x"]


@given(st.text(st.sampled_from("htps:/@.?#\\%2e[]:1aA\n\t é443localhost"), max_size=40).map("https://a".__add__))
def test_whoever_reads_the_same_address_comes_to_the_same_host(url: str) -> None:
    where = target(url)
    if where is not None:
        second = urlsplit(url)
        assert (second.hostname, second.port or 443, second.username) == (where.host.strip("[]"), where.port, None)
        assert [part for part in second.path.split("/") if part] == list(where.path)
