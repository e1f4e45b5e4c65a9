"""What cannot be an account's name, since it must be a secret. Pure; imports nothing, for the command's fast lane."""

SECRETS = (
    "sk-",
    "aixtiv-ticket-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxa-",
    "xoxb-",
    "xoxe",
    "xoxp-",
    "xoxs-",
    "xapp-",
    "eyJ",  # JSON in base64: a JWT
)
"""How keys and tokens begin whose makers marked them."""

_WORD = 40  # letters and digits, both, without anything between them: no person wrote that
_PART = 60  # the same, with what joins the parts of base64 between them


def is_secret(name: str) -> bool:
    """Whether somebody typed or pasted a key or token in a name's place. It must not be shown, nor go to any log."""
    return any(part.startswith(SECRETS) or _is_random(part) for part in name.split("/"))


def _is_random(part: str) -> bool:
    if "@" in part or "." in part:  # an address, a host
        return False
    longest = max(part.replace("-", "_").split("_"), key=len)
    return _is_mixed(longest, _WORD) or _is_mixed(part, _PART)


def _is_mixed(text: str, most: int) -> bool:
    return len(text) >= most and any(letter.isdigit() for letter in text) and any(letter.isalpha() for letter in text)
