"""Modules that load when something of them is first used, although they are imported like any other: a list of them.

The answer to a first caller needs none of these. Write `import NAME` or `from PACKAGE import MODULE`, and use what is
in it with its name in front: `from NAME import THING` takes something out at once, and so loads it at once. It is only
a matter of when: without `begin`, as in the tests, the same imports load at once.
"""

import gc
import marshal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from importlib.abc import InspectLoader, Loader
else:
    Loader = object  # importlib.abc brings `tempfile` and what comes with it

FOREIGN: Final = frozenset(
    {"difflib", "html", "json", "platformdirs", "random", "secrets", "shlex", "shutil", "tempfile", "unicodedata"}
)
"""Not ours. Some have a tail: `tempfile` alone brings ten others."""

OURS: Final = frozenset(
    f"aixtivd.{name}"
    for name in (
        "access.proof",
        "access.shells",
        "access.usage",
        "accounts.adopting",
        "accounts.changes",
        "accounts.codes",
        "accounts.examining",
        "accounts.generations",
        "accounts.handing",
        "accounts.renaming",
        "accounts.restoring",
        "host.launchd",
        "host.loopback",
        "host.notices",
        "host.program",
        "ipc.explaining",
        "ipc.keying",
        "oauth.answers",
        "oauth.authorization",
        "oauth.callback",
        "oauth.clients",
        "oauth.device",
        "oauth.discovery",
        "oauth.federation",
        "oauth.identity",
        "oauth.page",
        "oauth.registration",
        "oauth.resource",
        "oauth.resource_client",
        "oauth.response",
        "relay.apis",
        "relay.bodies",
        "relay.heads",
        "relay.passage",
        "relay.permits",
        "relay.targets",
        "relay.upstream",
        "vault.backup",
        "vault.trial",
    )
)
"""What each would run is taken into memory soon after the start (`settle`): an update that replaces the files of a
daemon that runs must not make it one half of each. That costs a fourth of what loading them would.
"""
SOON: Final = 2.0  # seconds


def begin() -> None:
    """To be called before anything that imports them. Nothing that is made in a start is looked through for garbage."""
    gc.disable()
    sys.meta_path.insert(0, Finder(FOREIGN | OURS))


def begun() -> None:
    """The start is over. What it made stays as long as the daemon: it is never looked through again, either."""
    if _postpones():
        gc.freeze()
        gc.enable()


async def settle() -> None:
    """Keeps what is ours and was not needed yet, one after the other, so that callers wait for one at most."""
    await anyio.sleep(SOON)
    for name in sorted(OURS) if _postpones() else ():
        keep(name)
        await anyio.lowlevel.checkpoint()


def keep(name: str) -> None:
    """From now on it is what it is now, whatever becomes of its file."""
    module = import_module(name)
    if isinstance(module, _Waiting):
        _postponed(module).keep(module)


def load(name: str) -> None:
    module = import_module(name)
    if isinstance(module, _Waiting):
        _postponed(module).load(module)


def _postpones() -> bool:
    return any(isinstance(finder, Finder) for finder in sys.meta_path)


class Finder:
    """For `sys.meta_path`. What has one of these names is found where it always was, and run later."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = spec.loader_state = _Postponed(cast("InspectLoader", spec.loader))
        return spec


class _Postponed(Loader):
    def __init__(self, loader: "InspectLoader") -> None:
        self._loader = loader
        self._lock = RLock()  # two threads may want it at once; and it may want itself while it loads
        self._begun = False
        self._kept = b""  # what it would run; empty: whatever its file holds by then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Waiting

    def keep(self, module: ModuleType) -> None:
        self._kept = marshal.dumps(self._loader.get_code(module.__name__))

    def load(self, module: ModuleType) -> None:
        """Raises what the module raises; then the next who wants it tries again."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
            try:
                self._run(module)
            except BaseException:
                self._begun = False
                raise
            self._kept = b""
            module.__class__ = ModuleType  # from now on it costs nobody anything

    def _run(self, module: ModuleType) -> None:
        if not self._kept:
            self._loader.exec_module(module)
            return
        code = marshal.loads(self._kept)  # noqa: S302  # it was made here
        exec(code, vars(module))  # noqa: S102  # as every loader does


class _Waiting(ModuleType):
    """What is not in it is not missing yet: it is loaded, and then looked for again."""

    def __getattr__(self, name: str) -> object:
        if name == "__path__":  # so the import system asks whether it is a package
            raise AttributeError(name)
        _postponed(self).load(self)
        return ModuleType.__getattribute__(self, name)


def _postponed(module: ModuleType) -> _Postponed:
    assert module.__spec__ is not None
    assert isinstance(module.__spec__.loader_state, _Postponed)
    return module.__spec__.loader_state
