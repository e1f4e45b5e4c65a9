"""Work that a caller's hang-up must not cut: it runs in a task of the daemon's own, and the caller only waits."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

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
        results: list[_T] = []
        failures: list[Exception] = []
        done = anyio.Event()

        async def kept() -> None:
            try:
                results.append(await job(*args))
            except Exception as error:  # noqa: BLE001  # every failure belongs to the caller, raised again below
                failures.append(error)
            finally:
                done.set()

        self._open += 1
        self._group.start_soon(self._counted, kept)
        await done.wait()
        if failures:
            raise failures[0]
        return results[0]

    async def idle(self) -> None:
        """Until no job started by `run` is open."""
        while self._open:
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
