"""Which paths are relayed, in whatever writing they come, and to which origin a credential goes."""

import posixpath
import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aixtiv_protocol.replies import Kind
from aixtivd.errors import AixtivError, BadRequest, Denied
from aixtivd.relay.api import Api
from aixtivd.relay.apis.anthropic import API
from aixtivd.relay.targets import LONGEST, check_path, target

ANYWHERE = Api(name="gitlab", origin="https://gitlab.example/api")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages",
        "/v1/messages?beta=true",
        "/v1/messages/count_tokens",
        "/v1/models/claude-sonnet-4-5@20250929",
        "/v1/files/file_011/content",
        "/v1/models?after_id=%2e%2e%2Fv1%2Foauth&x=/../#"[:-1],
        "/v1//messages",
        "/v1/a%20b",
        "/v1/",
        "/v1",
        "/v1/oauthx",
        "/v1/messages/oauth/",
        "/v1/%E2%82%AC",
        "/v1/models/claude-3.5",
        "/v1/files/a%3Fb%23c",
    ],
)
def test_whatever_is_below_v1_is_relayed(path: str) -> None:
    check_path(API, path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/oauth/token",
        "/v1/oauth",
        "/v1/oauth/",
        "/v1/oauth?x=y",
        "/v1//oauth/token",
        "//v1/oauth/token",
        "/v1/OAuth/token",
        "/v1/%6fauth/token",
        "/v1/%6Fauth/token",
        "/v1/oaut%68/token",
        "/v1/oauth%2ftoken",
        "/v1%2foauth/token",
        "/v1/%256fauth/token",
        "/v1/%25%36%66auth/token",
        "/v1/x/../oauth/token",
        "/v1/./oauth/token",
        "/v1/%2e/oauth/token",
        "/v1/x/%2e%2e/oauth/token",
        "/v1/x/.%2e/oauth/token",
        "/v1/x/..;/oauth/token",
        "/v1/oauth;x=y/token",
        "/v1/x%2f..%2foauth/token",
        "/v1/x%5c..%5coauth/token",
        "/v1/\\oauth/token",
        "/v1/%c0%afoauth/token",
        "/v1/%EF%BD%8Fauth/token",
        "/v1/%EF%BC%856fauth/token",
        "/v1%EF%BC%8Foauth/token",
        "/v1/%00/../oauth",
        "/v1/oauth%00/token",
        "/v1/%20oauth/token",
        "/v1/oauth%/token",
        "/v1/oauth%2/token",
        "/v1/%2525252525256fauth/token",
        "/v1/oauth%3Fx",
        "/v1/oauth%3fx/token",
        "/v1/oauth%23/token",
        "/v1/oauth%253fx",
        "/v1/oauth./token",
        "/v1/oauth.",
        "/v1/oauth../token",
        "/v1/oauth%2e/token",
        "/v1/oauth.%20./token",
        "/v1/.../oauth/token",
        "/v1/oauth%EF%B8%8F/token",
        "/v1/oau%EF%B8%8Fth",
        "/v1./oauth",
        "/v1%EF%B8%8F/oauth/token",
    ],
)
def test_what_hands_out_credentials_is_refused_in_every_writing(path: str) -> None:
    with pytest.raises(AixtivError):
        check_path(API, path)


@pytest.mark.parametrize(
    "path",
    ["/", "/v2/messages", "/v1x/messages", "/V1/messages", "/oauth/authorize", "/v1/../v2/x", "/v1%2f../v2", "/%76%32"],
)
def test_nothing_else_is_relayed(path: str) -> None:
    with pytest.raises(AixtivError):
        check_path(API, path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "v1/messages",
        "http://evil.example/v1/messages",
        "*",
        "/v1/a b",
        "/v1/a\r\nHost: evil",
        "/v1/ä",
        "/v1/a#b",
        "/v1/a?b#c",
        "/v1/a\0",
        "/v1/" + "a" * LONGEST,
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(BadRequest):
        check_path(API, path)


BITS = r"/ // v1 oauth OAUTH auth a token . .. ; \ % 25 2f 2e 6f 5c %2f %2e %6f %5c %252f %25%32%65"


def _arrives(path: str) -> bool:
    """Whether somebody who decodes, folds slashes, cuts parameters off and resolves dots would get there."""
    readings = [path]
    for _ in range(4):
        readings.append(unquote(readings[-1]))
    readings += [re.sub(r";[^/]*", "", reading) for reading in readings]
    readings += [reading.replace("\\", "/") for reading in readings]
    return any(f"{posixpath.normpath('/' + reading.lower())}/".startswith("/v1/oauth/") for reading in readings)


@settings(max_examples=1000)
@given(st.lists(st.sampled_from(BITS.split()), max_size=8).map("".join))
@example("/oauth")
def test_no_disguise_reaches_what_is_refused(rest: str) -> None:
    try:
        check_path(API, f"/v1/{rest}")
    except AixtivError:
        return
    assert not _arrives(f"/v1/{rest}")


@pytest.mark.parametrize("path", ["/v4/projects/group%2Fproject", "/x", "/"])
def test_an_api_without_prefixes_is_relayed_whole(path: str) -> None:
    check_path(ANYWHERE, path)


@pytest.mark.parametrize("path", ["/v4/admin/x", "/v4/%61dmin", "/v4/x%2f..%2fadmin"])
def test_what_the_config_refuses_is_refused_in_every_writing(path: str) -> None:
    with pytest.raises(AixtivError):
        check_path(Api(name="gitlab", refused=("/v4/admin/",)), path)


def test_the_accounts_own_origin_counts_before_the_configs_or_the_apis_own() -> None:
    assert target(API, "a", pinned="", wanted="", free=False) == "https://api.anthropic.com"
    assert target(API, "a", pinned="https://pinned.example/x", wanted="", free=False) == "https://pinned.example/x"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://api.anthropic.com",
        "https://api.anthropic.com/",
        "https://API.anthropic.com:443",
        "https://api.anthropic.com/v1/messages",
        "https://api.anthropic.com/v1",
    ],
)
def test_a_caller_may_say_where_it_expects_the_api(wanted: str) -> None:
    assert target(API, "a", pinned="", wanted=wanted, free=False) == "https://api.anthropic.com"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/v1/messages",
        "https://api.anthropic.com.evil.example",
        "https://api.anthropic.com:8443",
        "http://127.0.0.1:8080",
        "https://api.anthropic.com/prefix/v1/messages",
    ],
)
def test_an_accounts_credential_is_sent_nowhere_else(wanted: str) -> None:
    with pytest.raises(Denied, match=r"anthropic is for https://api\.anthropic\.com and nowhere else"):
        target(API, "anthropic", pinned="", wanted=wanted, free=False)
    with pytest.raises(Denied):
        target(API, "anthropic", pinned="https://pinned.example", wanted=API.origin, free=False)


@pytest.mark.parametrize(("kind", "command"), [("oauth", "login {} --replace"), ("api-key", "api-key set {}")])
def test_what_would_bind_an_account_elsewhere_is_a_command_for_its_kind(kind: Kind, command: str) -> None:
    with pytest.raises(Denied) as raised:
        target(API, "work", pinned="", wanted="https://proxy.example", free=False, kind=kind)
    assert raised.value.hint == "aixtiv " + command.format("work --endpoint https://proxy.example")


def test_a_callers_own_key_goes_where_the_caller_says() -> None:
    wanted = "https://gateway.example/team/v1/messages"
    assert target(API, "a", pinned="https://x.example", wanted=wanted, free=True) == "https://gateway.example/team"
    assert target(API, "a", pinned="", wanted="", free=True) == "https://api.anthropic.com"


@pytest.mark.parametrize("wanted", ["http://gateway.example", "https://user:pw@gateway.example", "https://a b", "x"])
@pytest.mark.parametrize("free", [True, False])
def test_a_url_that_would_show_a_secret_or_is_none_is_never_sent_to(wanted: str, free: bool) -> None:
    with pytest.raises(AixtivError):
        target(API, "a", pinned="", wanted=wanted, free=free)


def test_an_api_that_nobody_knows_has_a_sentence_that_names_the_key() -> None:
    with pytest.raises(BadRequest, match=r"set origin below \[api\.github\] in the config") as caught:
        target(Api(name="github"), "github", pinned="", wanted="", free=False)
    assert caught.value.hint == "aixtiv login github --endpoint https://HOST"
