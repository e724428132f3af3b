from collections.abc import Callable, Iterable
from multiprocessing import context as _std
from multiprocessing import process as _process
from multiprocessing.context import AuthenticationError as AuthenticationError
from multiprocessing.context import BufferTooShort as BufferTooShort
from multiprocessing.context import ProcessError as ProcessError
from multiprocessing.context import TimeoutError as TimeoutError
from multiprocessing.context import assert_spawning as assert_spawning
from multiprocessing.context import get_spawning_popen as get_spawning_popen
from multiprocessing.context import set_spawning_popen as set_spawning_popen
from typing import Any, ClassVar, Literal, overload

from . import popen_fork, popen_forkserver, popen_spawn_posix, process, queues, synchronize
from .managers import SyncManager
from .pool import Pool

__all__ = ()

class BaseContext(_std.BaseContext):
    def Manager(self) -> SyncManager: ...
    def Lock(self) -> synchronize.Lock: ...
    def RLock(self) -> synchronize.RLock: ...
    def Condition(self, lock: _std._LockLike | None = None) -> synchronize.Condition: ...
    def Semaphore(self, value: int = 1) -> synchronize.Semaphore: ...
    def BoundedSemaphore(self, value: int = 1) -> synchronize.BoundedSemaphore: ...
    def Event(self) -> synchronize.Event: ...
    def Barrier(
        self, parties: int, action: Callable[..., object] | None = None, timeout: float | None = None
    ) -> synchronize.Barrier: ...
    def Queue(self, maxsize: int = 0) -> queues.Queue[Any]: ...
    def JoinableQueue(self, maxsize: int = 0) -> queues.JoinableQueue[Any]: ...
    def SimpleQueue(self) -> queues.SimpleQueue[Any]: ...
    def Pool(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
    ) -> Pool: ...
    def set_forkserver_preload(
        self, module_names: list[str], *, on_error: Literal["ignore", "warn", "fail"] = "ignore"
    ) -> None: ...
    @overload  # type: ignore[override]
    def get_context(self, method: None = None) -> DefaultContext: ...
    @overload
    def get_context(self, method: Literal["fork"]) -> ForkContext: ...
    @overload
    def get_context(self, method: Literal["spawn"]) -> SpawnContext: ...
    @overload
    def get_context(self, method: Literal["forkserver"]) -> ForkServerContext: ...
    @overload
    def get_context(self, method: str | None) -> BaseContext: ...

class Process(process.BaseProcess, _std.Process): ...

class DefaultContext(_std.DefaultContext, BaseContext):
    Process: ClassVar[type[Process]]
    def __init__(self, context: _std.BaseContext | None = None) -> None: ...

class ForkProcess(process.BaseProcess, _std.ForkProcess):
    @staticmethod
    def _Popen(process_obj: _process.BaseProcess) -> popen_fork.Popen: ...

class SpawnProcess(process.BaseProcess, _std.SpawnProcess):
    @staticmethod
    def _Popen(process_obj: _process.BaseProcess) -> popen_spawn_posix.Popen: ...

class ForkServerProcess(process.BaseProcess, _std.ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: _process.BaseProcess) -> popen_forkserver.Popen: ...

class ForkContext(_std.ForkContext, BaseContext):
    Process: ClassVar[type[ForkProcess]]

class SpawnContext(_std.SpawnContext, BaseContext):
    Process: ClassVar[type[SpawnProcess]]

class ForkServerContext(_std.ForkServerContext, BaseContext):
    Process: ClassVar[type[ForkServerProcess]]

_default_context: DefaultContext

def _force_start_method(method: str) -> None: ...
def __getattr__(name: str) -> Any: ...
