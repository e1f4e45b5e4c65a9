"""aixtiv: ask the local credential daemon. Costs nothing to import: what is named here loads when it is used."""

TYPE_CHECKING = False  # not typing's: the command's fast lane imports this package and has no time for `typing`
if TYPE_CHECKING:
    from aixtiv.client import Client
    from aixtiv.failures import AixtivError, Locked, NoDaemon, SignInNeeded, Unreachable

__all__ = ["AixtivError", "Client", "Locked", "NoDaemon", "SignInNeeded", "Unreachable"]


def __getattr__(name: str) -> object:  # PEP 562
    if name == "Client":
        from aixtiv.client import Client  # noqa: PLC0415  # loads when it is used

        return Client
    if name in __all__:
        from aixtiv import failures  # noqa: PLC0415  # loads when it is used

        return getattr(failures, name)
    raise AttributeError(f"module 'aixtiv' has no attribute {name!r}")
