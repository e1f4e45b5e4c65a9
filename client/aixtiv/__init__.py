"""aixtiv: ask the local credential daemon. Costs nothing to import: what is named here loads when it is used."""

TYPE_CHECKING = False  # not typing's: the command's fast lane imports this package and has no time for `typing`
if TYPE_CHECKING:
    from aixtiv.client import Client
    from aixtiv.failures import AixtivError, Denied, Locked, NoDaemon, SignInNeeded, Unreachable
    from aixtiv.relayed import Relayed
    from aixtiv_protocol.requests import ClientCredentials, ClientSettings, Command, Federation
    from aixtiv_protocol.secret import Secret

    __version__: str

__all__ = [
    "AixtivError",
    "Client",
    "ClientCredentials",
    "ClientSettings",
    "Command",
    "Denied",
    "Federation",
    "Locked",
    "NoDaemon",
    "Relayed",
    "Secret",
    "SignInNeeded",
    "Unreachable",
    "__version__",
]

_ELSEWHERE = {  # than in `failures`
    "Client": ("aixtiv.client", "Client"),
    "ClientCredentials": ("aixtiv_protocol.requests", "ClientCredentials"),
    "ClientSettings": ("aixtiv_protocol.requests", "ClientSettings"),
    "Command": ("aixtiv_protocol.requests", "Command"),
    "Federation": ("aixtiv_protocol.requests", "Federation"),
    "Relayed": ("aixtiv.relayed", "Relayed"),
    "Secret": ("aixtiv_protocol.secret", "Secret"),
    "__version__": ("aixtiv_protocol", "VERSION"),
}


def __getattr__(name: str) -> object:  # PEP 562
    if name not in __all__:
        raise AttributeError(f"module 'aixtiv' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  # loads when it is used

    module, at = _ELSEWHERE.get(name, ("aixtiv.failures", name))
    return getattr(import_module(module), at)
