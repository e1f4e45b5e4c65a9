"""The config file, whatever a person or an editor made of it."""

from functools import cache
from pathlib import Path
from typing import Final

from aixtivd.config import load
from aixtivd.errors import BadConfig
from fuzz.memory import place
from fuzz.target import Target

_WHOLE: Final = b"""
default-account = "anthropic/work"
log = "debug"
[network]
proxy = "http://proxy.example:3128"
no-proxy = ["localhost", ".example.org"]
ca-file = ""
[vault]
key = "file"
key-file = "/x/y"
lock-after = 5
export = false
[refresh]
at-once = 4
timeout = 2.5
[provider.mine]
issuer = "https://i.example"
client-auth = "post"
authorize-parameters = {a = "b"}
redirect-uri = "http://127.0.0.1/cb"
punishes-reuse = true
scopes = ["a", "b"]
[claude]
account = "a"
port = 4000
[api.mine]
origin = "https://api.example/v1"
paths = ["/v1/"]
key-header = "X-Key"
[access]
default = ["list", "relay"]
relay-only = ["anthropic*"]
[audit]
size = 1
files = 2
on-failure = "stop"
[[rule]]
who = {executable = "/usr/bin/*", unit = "a.service"}
accounts = ["anthropic/*"]
allow = ["token"]
paths = ["/v1/"]
[[rule]]
"""


def config(data: bytes) -> None:
    """It is taken, or refused with a sentence in one line that begins with the file's name."""
    path = _file()
    path.write_bytes(data)
    sentence = f"{path}: "
    try:
        load(path)
    except BadConfig as error:
        sentence = error.sentence
    assert sentence.startswith(str(path))
    assert "\n" not in sentence, sentence


@cache
def _file() -> Path:
    path = place() / "config"
    path.touch(0o600)
    return path


def _seeds() -> list[bytes]:
    tables = [b"[" + table for table in _WHOLE.split(b"\n[")[1:]]
    return [_WHOLE, *tables]


_WORDS: Final = (
    *(
        b"\n[[rule]]\n",
        b"\n[access]\n",
        b'"',
        b"'''",
        b"[",
        b"]",
        b"{",
        b" = ",
        b"-1",
        b"1e400",
        b"nan",
        b"true",
        b"''",
    ),
    *(
        b"1979-05-27T07:32:00Z",
        b"\\u0000",
        b"\\ud800",
        b"who.unit = 1",
        b'allow = ["x"]',
        b"a.b.c = 1",
        b"\xef\xbb\xbf",
    ),
    *(b'x = ""', b'"\\u001b[31m" = 1', b"proxy = 1", b"0x", b"9" * 5000, b"[provider.'a.b']", b'[api.""]', b"[[" * 900),
    *(b'"~nobody/x"', b'"http://[::1"', b'"https://x:99999"', b'"\\u0000"', b"ca-file = ", b"client-secret-file = "),
)

TARGETS: Final = (Target("config", config, _seeds, longest=6000, words=_WORDS),)
