"""What is said on aixtiv's Unix socket. Imports nothing, so that the command's fast lane may import it."""

VERSION = "0.1.0"
"""The version of the whole distribution: daemon, client and protocol are released together."""

PROTOCOL = 1
"""Rises only when an older peer could no longer understand what it is sent (README.md, "Versions")."""
