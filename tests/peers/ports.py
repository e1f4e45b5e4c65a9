"""Ports of this machine."""

import socket


def free_port() -> int:
    """One that nobody listens at, for a test that has to say it beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
