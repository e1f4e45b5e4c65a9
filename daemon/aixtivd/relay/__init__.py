"""Calling an API for a caller who never sees the credential: over the socket, and as HTTP."""
