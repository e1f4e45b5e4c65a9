"""Work that a caller's hang-up must not cut: it runs in a task of the daemon's own, and the caller only waits."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

from aixtivd import log
from aixtivd.errors import AixtivError

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class Work:
    def __init__(self) -> None:
        self._tasks: TaskGroup | None = None
        self._open = 0
        self._idle = anyio.Event()

    def begin(self, tasks: TaskGroup) -> None:
        self._tasks = tasks

    def start(self, job: Callable[[*_Args], Awaitable[object]], *args: *_Args) -> None:
        """Runs `job` without anybody waiting. A failure is logged by its type; its text may hold anything."""
        self._group.start_soon(self._guarded, job, args)

    async def run(self, job: Callable[[*_Args], Awaitable[_T]], *args: *_Args) -> _T:
        """Runs `job` to its end even if the caller is cancelled meanwhile; its result or its failure comes back."""
        kept = _Kept(job, args)
        self._open += 1
        self._group.start_soon(self._counted, kept.run)
        return await kept.result()

    async def outlive(self, job: Callable[[*_Args], Awaitable[_T]], *args: *_Args) -> _T:
        """As `run`, but `idle` does not wait for it, nor is it kept from being ended with the daemon."""
        kept = _Kept(job, args)
        self._group.start_soon(kept.run)
        return await kept.result()

    @property
    def busy(self) -> bool:
        return self._open > 0

    async def idle(self) -> None:
        """Until no job started by `run` is open."""
        while self._open:
            if self._idle.is_set():  # else others wait for this very one
                self._idle = anyio.Event()
            await self._idle.wait()

    @property
    def _group(self) -> TaskGroup:
        if self._tasks is None:
            raise AixtivError("the daemon is not running yet")
        return self._tasks

    async def _counted(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await job()
        finally:
            self._open -= 1
            self._idle.set()

    async def _guarded(self, job: Callable[[*_Args], Awaitable[object]], args: tuple[*_Args]) -> None:
        try:
            await job(*args)
        except AixtivError as error:
            log.warning("background", failure=error.code, detail=error.sentence)
        except Exception as error:  # noqa: BLE001  # one account's defect must not end the daemon
            log.error("background", exception=type(error).__name__)


class _Kept(Generic[*_Args, _T]):
    """A job, and how it ended, for who waits for that; if anybody still does."""

    def __init__(self, job: Callable[[*_Args], Awaitable[_T]], args: tuple[*_Args]) -> None:
        self._job = job
        self._args = args
        self._results: list[_T] = []
        self._failures: list[Exception] = []
        self._done = anyio.Event()

    async def run(self) -> None:
        try:
            self._results.append(await self._job(*self._args))
        except Exception as error:  # noqa: BLE001  # every failure belongs to the caller, raised again in `result`
            self._failures.append(error)
        finally:
            self._done.set()

    async def result(self) -> _T:
        await self._done.wait()
        if self._failures:
            raise self._failures[0]
        if not self._results:
            raise AixtivError("the daemon has stopped meanwhile")
        return self._results[0]
