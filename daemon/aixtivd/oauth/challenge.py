"""What a resource asks for when it turns a call away: read here as the client's bridge reads it."""

from aixtiv_protocol.challenge import Challenge, fit_scopes, read_challenge

__all__ = ["Challenge", "fit_scopes", "read_challenge"]
