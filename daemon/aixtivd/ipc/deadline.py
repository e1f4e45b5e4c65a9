"""Moved to `host.deadline`: the gateway and the relay have conversations, too."""

from aixtivd.host.deadline import Deadline

__all__ = ["Deadline"]
