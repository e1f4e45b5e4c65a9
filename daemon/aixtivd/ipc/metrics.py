"""Counters and gauges in Prometheus' text format 0.0.4, when somebody asks for them."""

from collections.abc import Callable

from aixtiv_protocol import replies, requests
from aixtivd.accounts.service import Accounts
from aixtivd.errors import BadRequest


class Metrics:
    def __init__(self, accounts: Accounts, status: Callable[[], replies.DaemonStatus]) -> None:
        self._accounts = accounts
        self._status = status

    def exposition(self, asked: requests.Metrics) -> replies.Exposition:
        raise BadRequest("not yet")
