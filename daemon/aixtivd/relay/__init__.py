"""Calling an API for a caller who never sees the credential, whichever way the call came in."""
