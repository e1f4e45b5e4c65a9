"""The words that replies choose among, each with what it means."""

from typing import Literal

Code = Literal[
    "bad_request",  # the message is not one the daemon understands
    "too_large",  # a frame or line above the cap
    "busy",  # too many connections, or too much asked at once
    "denied",  # this caller may not
    "locked",  # the vault is locked
    "key_failed",  # the vault's key is wrong, missing or cannot be reached
    "store_failed",  # the store cannot be written or read
    "no_account",  # no such account, or none named and no default
    "no_provider",  # nothing is known about that provider, or too little
    "sign_in_needed",  # the grant is over, or was never there
    "sign_in_failed",  # this sign-in did not succeed; what was there before is untouched
    "scope_missing",  # the grant lacks a scope that was asked for
    "unreachable",  # network or provider trouble that passes
    "refused",  # the provider refuses, and says why
    "misconfigured",  # the provider does not accept this client, scope or grant type
    "timeout",  # the caller's `wait` ran out; the work goes on
    "bad_config",  # the config file is wrong
    "internal",  # a defect in aixtiv
]

State = Literal["fresh", "due", "expired", "failing", "quarantined", "static"]
"""Of an account. fresh: serves · due: serves, refresh soon · expired: refreshes on demand · failing: the last refresh
failed, aixtiv tries again · quarantined: kept but not tried again until a person acts · static: an API key."""


Kind = Literal["oauth", "client-credentials", "federation", "command", "api-key"]

Happening = Literal[
    "signed-in",
    "refreshed",
    "failing",
    "sign-in-needed",
    "expires-soon",  # a token ends before long, and there is no way to renew it but to sign in
    "logged-out",
    "renamed",
    "reinstated",  # an earlier generation became the newest
    "locked",
    "unlocked",
    "spilled",  # a new pair could not be committed and waits in the spill slot
    "woke",  # the machine slept, or its clock was moved
    "paying",  # the credential that pays for relayed calls of an account is another than before
    "restarting",  # the daemon becomes another one, which takes its sockets over
    "stopping",  # it ends, once what is open has been answered
]

What = Literal[
    "sign-in",
    "sign-out",
    "api-key",  # stored or removed
    "account",  # renamed, or an earlier generation reinstated
    "token",  # handed out
    "refresh",
    "oauth2_token_error",  # a refresh or exchange failed (the old command's name)
    "relay",  # one API call
    "paying",  # another credential than before pays for an account's calls
    "denied",
    "ticket",  # made
    "ticket-end",  # revoked, or its holder has died
    "lock",
    "unlock",
    "key",  # rotated or moved
    "export",
    "restore",
    "reload",
    "start",
    "restart",
    "stop",
    "audit",  # of the log about itself: what a start found, what could not be written
]
"""What an audit record is about."""

Verdict = Literal["", "valid", "invalid"]
"""Of an ID token's signature, checked against the issuer's keys today. Empty: there is none, or it was not checked."""
