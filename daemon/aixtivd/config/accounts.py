"""What types cannot say of `[account.NAME]`: hosts that are hosts, and files that can be published."""

import os.path

from aixtivd.config.reach import reach
from aixtivd.config.tables import AccountConfig, Config
from aixtivd.config.template import wrong
from aixtivd.errors import BadConfig


def check_accounts(config: Config, path: object) -> None:
    """Raises BadConfig."""
    taken: dict[str, str] = {}
    for name, account in config.account.items():
        where = f"{path}: account.{name}"
        for entry in account.hosts:
            if reach(entry) is None:
                raise BadConfig(f"{where}.hosts: {entry!r} is no HOST[:PORT][/PATH], like github.com/acme")
        if not account.username.isprintable() or ":" in account.username:
            raise BadConfig(f"{where}.username: expected a name in one line, without a colon")
        if account.publish is not None:
            file = _check_published(where, account)
            if (other := taken.setdefault(file, name)) != name:
                raise BadConfig(f"{where}.publish.path: {other} is published there already")


def _check_published(where: str, account: AccountConfig) -> str:
    """The file's path, as one that can be compared."""
    said = account.publish
    assert said is not None
    file = os.path.expanduser(said.path)  # noqa: PTH111  # text in, text out
    if not file.startswith("/") or "\0" in file or os.path.normpath(file) != file:
        raise BadConfig(f"{where}.publish.path: expected an absolute path, without .. or a / at its end")
    if (said.format == "json") != bool(said.template):
        raise BadConfig(f'{where}.publish.template: expected with format = "json", and only there')
    if said.template and (sentence := wrong(said.template)):
        raise BadConfig(f"{where}.publish.template: {sentence}")
    return file
