"""Every target there is, by the module that it stands in: only that one is loaded for it."""

from importlib import import_module
from typing import Final

from fuzz.target import Target

MODULES: Final[dict[str, tuple[str, ...]]] = {
    "wire": ("frames", "lines", "request-msgpack", "request-json", "reply"),
    "callback": ("callback",),
    "pasted": ("pasted", "query"),
    "gateway": ("gateway",),
    "configs": ("config",),
    "devices": ("device",),
    "provider": ("token-answer", "beginning", "sign-in", "documents"),
    "resources": ("resource", "registration"),
    "stores": ("store-rows", "store-payloads", "spill-slot"),
    "sealed": ("grant", "tickets", "key-source", "backup", "backup-content", "data-key"),
    "audits": ("audit-lines", "audit-file", "audit-start"),
    "settings": ("settings",),
}

NAMES: Final = tuple(name for names in MODULES.values() for name in names)


def target(name: str) -> Target:
    """Raises KeyError."""
    module = {one: module for module, names in MODULES.items() for one in names}[name]
    targets: tuple[Target, ...] = import_module(f"fuzz.{module}").TARGETS
    return next(one for one in targets if one.name == name)
